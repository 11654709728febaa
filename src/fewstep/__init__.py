"""fewstep: the library of the course "Few-Step Diffusion: from SDEs to few-step sampling, derived
and run".

Any denoiser × any process × any grid × any solver. Import the modules: ``from fewstep import grids,
solvers``. Import them before torch: see below.
"""

import os

# PyTorch's threads wait for each other by spinning, thousands of times a second. If another program
# holds one of the cores, they spin in vain, for milliseconds each time. With this many turns they
# go to sleep soon, and not too soon: a tenth of it doubled the time of a training step on idle
# cores. The OpenMP library reads it once, when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
