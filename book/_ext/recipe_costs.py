"""The table of what the recipes cost, in the place of the directive `{recipe-costs}`."""

PLACE = "```{recipe-costs}\n```"


def fill(app, docname, source):
    """Count, and put the table where the page has the directive."""
    if PLACE in source[0]:
        from fewstep import experiments, recipes, results

        rows = [experiments.cost(name) for name in recipes.names()]
        source[0] = source[0].replace(PLACE, results.table(rows))


def setup(app):
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
