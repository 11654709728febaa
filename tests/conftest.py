import os

# Before anything imports torch, and inherited by the notebooks' kernels.
os.environ.setdefault("FEWSTEP_SCALE", "smoke")
# The suite runs in two workers: a thread pool for every core in each of them, and in each kernel
# that they start, would have the cores fight over the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
