"""fewstep: the library of the course "Few-Step Diffusion: from SDEs to few-step sampling, derived
and run".

Any denoiser × any process × any grid × any solver. Import the modules: ``from fewstep import grids,
solvers``.
"""
