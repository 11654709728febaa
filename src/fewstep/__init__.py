"""fewstep: the library of the course "Few-Step Diffusion: from SDEs to few-step sampling, derived
and run".

Any denoiser × any process × any grid × any solver. Import the modules: ``from fewstep import grids,
solvers``. Import them before torch: see below.
"""

import os

# PyTorch's threads wait for each other by spinning, thousands of times a second. If another program
# holds one of the cores, they spin in vain: a training step beside it took twenty times as long as
# with threads that soon go to sleep. The OpenMP library reads this once, when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
