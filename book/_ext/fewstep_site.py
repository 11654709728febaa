"""What the site takes from its environment: the address of the repository it was built from.

With FEWSTEP_REPOSITORY=https://github.com/owner/name each notebook page gets a Colab button that
opens the stamped copy on the branch `colab`. Without it there is no button; a fork edits nothing.
"""

import os


def use_repository(app, config):
    repository = os.environ.get("FEWSTEP_REPOSITORY", "").rstrip("/")
    if not repository:
        return
    options = config.html_theme_options
    options.update(repository_url=repository, use_repository_button=True)
    # the only host that Colab opens notebooks from
    if repository.startswith("https://github.com/"):
        options["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}
        options["repository_branch"] = "colab"


def setup(app):
    # before the theme (priority 500) reads its options
    app.connect("config-inited", use_repository, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
