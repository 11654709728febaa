/* The mathematics of the live figures, as in the library fewstep and tested against it: exact
   denoisers, processes, chains, grids, steps, noise. A classic script, so that pages opened from a
   folder can load it. One global, `fewstep`; draw.js and the figures add to it.

   A state is a Float64Array of B points in d dimensions, one after the other. */

(() => {
  "use strict";

  // ---- Exact denoisers ---------------------------------------------------------------------

  /* Data: a mixture of K isotropic Gaussians; a variance of 0 is a point.
     means: K arrays of d numbers.  variances: K numbers, or one.  weights: K numbers of sum 1. */
  function mixture(means, variances, weights) {
    const K = means.length, d = means[0].length;
    const v = Array.isArray(variances) ? variances : means.map(() => variances);

    /* log w_k N(x; μ_k, v_k + σ²) of one point, which starts at x[at]. Direct differences:
       ‖x‖² − 2 x·μ + ‖μ‖² would cancel at small σ. */
    function logJoint(x, at, sigma, out) {
      for (let k = 0; k < K; k++) {
        const total = v[k] + sigma * sigma;
        let distance = 0;
        for (let i = 0; i < d; i++) distance += (x[at + i] - means[k][i]) ** 2;
        const log = distance / total + d * Math.log(2 * Math.PI * total);
        out[k] = Math.log(weights[k]) - 0.5 * log;
      }
      return out;
    }

    /* Turns logarithms into shares of sum 1 and returns the logarithm of their sum. The largest is
       taken out first, so that at tiny σ nothing over- or underflows to 0/0. */
    function softmax(logs) {
      const top = Math.max(...logs);
      let sum = 0;
      for (let k = 0; k < K; k++) sum += logs[k] = Math.exp(logs[k] - top);
      for (let k = 0; k < K; k++) logs[k] /= sum;
      return top + Math.log(sum);
    }

    const scratch = new Float64Array(K);
    return {
      means, variances: v, weights, dim: d,

      /* p(k | x): how likely each component is to be the one behind the first point of x. */
      posterior(x, sigma) {
        const shares = logJoint(x, 0, sigma, new Float64Array(K));
        softmax(shares);
        return shares;
      },

      /* D(x; σ) = E[x0 | x] = Σ_k p(k | x) [μ_k + v_k/(v_k + σ²) (x − μ_k)].  σ > 0 for points. */
      denoise(x, sigma) {
        const D = new Float64Array(x.length);
        for (let at = 0; at < x.length; at += d) {
          softmax(logJoint(x, at, sigma, scratch));
          for (let k = 0; k < K; k++) {
            const shrink = sigma === 0 ? 1 : v[k] / (v[k] + sigma * sigma);
            for (let i = 0; i < d; i++)
              D[at + i] += scratch[k] * ((1 - shrink) * means[k][i] + shrink * x[at + i]);
          }
        }
        return D;
      },

      /* log p(x; σ) of every point. */
      logDensity(x, sigma) {
        const logs = new Float64Array(x.length / d);
        for (let b = 0; b < logs.length; b++) logs[b] = softmax(logJoint(x, b * d, sigma, scratch));
        return logs;
      },
    };
  }

  /* Data: a training set. Its denoiser is a softmax average of its points. */
  const dataSet = (points) => mixture(points, 0, points.map(() => 1 / points.length));

  /* ∇ log p(x; σ) = (D(x; σ) − x)/σ² (Tweedie). */
  function score(data, x, sigma) {
    const D = data.denoise(x, sigma);
    return x.map((v, i) => (D[i] - v) / sigma ** 2);
  }

  // ---- Processes x_t = s(t) (x_0 + σ(t) ε), and their SDE dx = f x dt + g dw -------------------

  /* at(t): the instant t with σ, s, σ̇, ṡ, f and g.  timeOf(σ): the time at which σ is reached. */
  const edm = () => ({
    at: (t) => ({ t, sigma: t, s: 1, dsigma: 1, ds: 0, f: 0, g: Math.sqrt(2 * t) }),
    timeOf: (sigma) => sigma,
  });

  const ve = () => ({
    at(t) {
      const sigma = Math.sqrt(t);
      return { t, sigma, s: 1, dsigma: 0.5 / sigma, ds: 0, f: 0, g: 1 };
    },
    timeOf: (sigma) => sigma ** 2,
  });

  /* β(t) = β_min + β_d t, B its integral, s = e^{−B/2}, σ = √(e^B − 1). */
  const vp = (betaD = 19.9, betaMin = 0.1) => ({
    at(t) {
      const beta = betaMin + betaD * t, B = betaMin * t + 0.5 * betaD * t * t;
      const sigma = Math.sqrt(Math.expm1(B)), s = Math.exp(-B / 2);
      const dsigma = 0.5 * beta * (sigma + 1 / sigma);
      // g is not computed as s √(2 σ̇ σ), which is 0 · ∞ at t = 0
      return { t, sigma, s, dsigma, ds: -0.5 * beta * s, f: -0.5 * beta, g: Math.sqrt(beta) };
    },
    timeOf(sigma) {
      const B = Math.log1p(sigma ** 2);
      // the root of ½ β_d t² + β_min t = B in the form that cancels nothing
      return (2 * B) / (betaMin + Math.sqrt(betaMin ** 2 + 2 * betaD * B));
    },
  });

  // ---- Discrete variance-preserving chains -----------------------------------------------------

  /* n values at equal distances. From both ends, as torch.linspace: what is rounded to whole steps
     later must not hang on the last bit. */
  function linspace(from, to, n) {
    const step = n > 1 ? (to - from) / (n - 1) : 0;
    return Array.from({ length: n }, (_, i) =>
      i < Math.floor(n / 2) ? from + i * step : to - (n - 1 - i) * step);
  }

  const sigmoid = (u) => 1 / (1 + Math.exp(-u));

  /* betas[t − 1] is β_t; alphaBars and sigmas start with t = 0, the data. */
  function chain(betas) {
    const alphaBars = [1];
    for (const beta of betas) alphaBars.push(alphaBars[alphaBars.length - 1] * (1 - beta));
    const sigmas = alphaBars.map((a) => Math.sqrt((1 - a) / a));
    return { T: betas.length, betas, alphaBars, sigmas };
  }

  const fromAlphaBars = (a, betaMax = 0.999) =>
    chain(a.slice(1).map((after, i) => Math.min(1 - after / a[i], betaMax)));

  const linear = (T, start = 0.1 / T, end = 20 / T) => chain(linspace(start, end, T));

  const quadratic = (T, start = 1e-4, end = 0.02) =>
    chain(linspace(Math.sqrt(start), Math.sqrt(end), T).map((root) => root ** 2));

  const sigmoidBeta = (T, start = 1e-4, end = 0.02, width = 6) =>
    chain(linspace(-width, width, T).map((u) => start + (end - start) * sigmoid(u)));

  function cosine(T, offset = 0.008) {
    const curve = (r) => Math.cos((0.5 * Math.PI * (r + offset)) / (1 + offset)) ** 2;
    return fromAlphaBars(Array.from({ length: T + 1 }, (_, t) => curve(t / T) / curve(0)));
  }

  function sigmoidAlphaBar(T, start = -3, end = 3, temperature = 1) {
    const curve = (r) => sigmoid(-(start + r * (end - start)) / temperature);
    const share = (r) => (curve(r) - curve(1)) / (curve(0) - curve(1));
    return fromAlphaBars(Array.from({ length: T + 1 }, (_, t) => share(t / T)));
  }

  /* ᾱ_t = s(t/T)² of a variance-preserving process. */
  const fromProcess = (process, T) =>
    fromAlphaBars(Array.from({ length: T + 1 }, (_, t) => process.at(t / T).s ** 2));

  /* u_0 > … > u_M = 0 of improved DDPM, by recursion (Karras et al. 2022, table 1). */
  function iddpmLevels(M = 1000, c1 = 0.001, c2 = 0.008) {
    const alphaBar = (j) => Math.sin((0.5 * Math.PI * j) / (M * (c2 + 1))) ** 2;
    const u = [0];
    for (let j = M; j > 0; j--) {
      const ratio = Math.max(alphaBar(j - 1) / alphaBar(j), c1);
      u.unshift(Math.sqrt((u[0] ** 2 + 1) / ratio - 1));
    }
    return u;
  }

  // ---- Grids: n noise levels that fall, then 0 -------------------------------------------------

  const grids = {
    edm: (n, low = 0.002, high = 80, rho = 7) =>
      [...linspace(high ** (1 / rho), low ** (1 / rho), n).map((root) => root ** rho), 0],

    vp: (n, process = vp(), tMin = 1e-3) =>
      [...linspace(1, tMin, n).map((t) => process.at(t).sigma), 0],

    ve: (n, low = 0.02, high = 100) =>
      [...linspace(Math.log(high), Math.log(low), n).map(Math.exp), 0],

    iddpm(n, M = 1000, j0 = 8) {
      const u = iddpmLevels(M);
      const j = (i) => j0 + (i * (M - 1 - j0)) / Math.max(n - 1, 1);
      return [...Array.from({ length: n }, (_, i) => u[Math.floor(j(i) + 0.5)]), 0];
    },

    /* σ_t at n steps t from T down to 1; halves go to the even neighbour, as in torch. */
    respaced(n, chain) {
      const round = (t) => (t % 1 === 0.5 ? 2 * Math.round(t / 2) : Math.round(t));
      return [...linspace(chain.T, 1, n).map((t) => chain.sigmas[round(t)]), 0];
    },
  };

  // ---- Noise -----------------------------------------------------------------------------------

  /* A function that draws standard normal numbers: sfc32, then Box and Muller's pairs. */
  function normals(seed) {
    let a = 0x9e3779b9, b = 0x243f6a88, c = seed | 0, counter = 1, spare = null;
    function bits() {
      const out = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + out | 0;
      return out >>> 0;
    }
    for (let i = 0; i < 15; i++) bits(); // seeds that are alike must have drifted apart
    return () => {
      if (spare !== null) {
        const z = spare;
        spare = null;
        return z;
      }
      const radius = Math.sqrt(-2 * Math.log((bits() + 0.5) / 2 ** 32)); // never log 0
      const angle = (2 * Math.PI * bits()) / 2 ** 32;
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    };
  }

  /* One Wiener path on [0, 1] that can be looked at ever closer: path(T) holds w(k/T), k = 0 … T,
     for T a power of 2. Between two known values w is normal around their mean with variance Δt/4
     (the Brownian bridge), so a finer look only adds points. */
  function wiener(seed) {
    const next = normals(seed), levels = [[0, next()]];
    return function path(T) {
      while (levels[levels.length - 1].length < T + 1) {
        const coarse = levels[levels.length - 1], std = Math.sqrt(1 / (coarse.length - 1) / 4);
        const fine = [0];
        for (let k = 1; k < coarse.length; k++)
          fine.push(0.5 * (coarse[k - 1] + coarse[k]) + std * next(), coarse[k]);
        levels.push(fine);
      }
      return levels[Math.round(Math.log2(T))];
    };
  }

  // ---- Samplers --------------------------------------------------------------------------------

  /* A denoiser at work on a process: evaluates it, counts its calls (NFE), remembers the last one.
     normal: draws the noise of stochastic steps. */
  function flow(data, process, normal) {
    return {
      process, nfe: 0, last: null,

      /* D(x/s; σ). */
      denoise(x, now) {
        this.nfe += 1;
        const D = data.denoise(x.map((v) => v / now.s), now.sigma);
        this.last = { now, D };
        return D;
      },

      /* dx/dt = (σ̇/σ + ṡ/s) x − (σ̇ s/σ) D(x/s; σ), the probability-flow ODE. */
      velocity(x, now) {
        const D = this.denoise(x, now), pull = now.dsigma / now.sigma;
        return x.map((v, i) => (pull + now.ds / now.s) * v - pull * now.s * D[i]);
      },

      noise: (x) => x.map(() => normal()),
    };
  }

  /* Each carries x from one instant to an earlier one: step(flow, x, now, then) → x_then. */
  const steps = {
    /* x + h dx/dt: order 1. */
    euler(flow, x, now, then) {
      const d = flow.velocity(x, now);
      return x.map((v, i) => v + (then.t - now.t) * d[i]);
    },

    /* The trapezoidal rule with an Euler predictor: order 2, two calls; one for the step to 0. */
    heun(flow, x, now, then) {
      const h = then.t - now.t, d = flow.velocity(x, now);
      const euler = x.map((v, i) => v + h * d[i]);
      if (then.sigma === 0) return euler;
      const dThen = flow.velocity(euler, then);
      return x.map((v, i) => v + (h * (d[i] + dThen[i])) / 2);
    },

    /* Denoise, then noise again to σ_then; η: the share of fresh noise, 1 as much as in DDPM. */
    ddim: (eta = 0) => (flow, x, now, then) => {
      const D = flow.denoise(x, now);
      const fresh = eta * then.sigma * Math.sqrt(1 - (then.sigma / now.sigma) ** 2);
      const kept = Math.sqrt(then.sigma ** 2 - fresh ** 2);
      const z = fresh > 0 ? flow.noise(x) : x.map(() => 0);
      const eps = x.map((v, i) => (v / now.s - D[i]) / now.sigma);
      return x.map((_, i) => then.s * (D[i] + kept * eps[i] + fresh * z[i]));
    },

    /* DPM-Solver++(2M): order 2 in −ln σ with one call, extrapolating from the last D. The first
       step, and that to σ = 0, are of order 1. */
    dpmpp2m(flow, x, now, then) {
      const before = flow.last, ratio = then.sigma / now.sigma;
      let D = flow.denoise(x, now);
      if (before && ratio > 0) {
        const r = Math.log(before.now.sigma / now.sigma) / -Math.log(ratio);
        D = D.map((v, i) => v + (v - before.D[i]) / (2 * r));
      }
      return x.map((v, i) => then.s * ((ratio * v) / now.s + (1 - ratio) * D[i]));
    },

    /* Euler–Maruyama for dx = [f x − ½(1 + κ) g² ∇log p] dt + √κ g dw̄: κ = 0 is the ODE, κ = 1 the
       reverse SDE. The step to σ = 0 only denoises: noise added there would stay. */
    eulerMaruyama: (kappa = 1) => (flow, x, now, then) => {
      const D = flow.denoise(x, now);
      if (then.sigma === 0) return D.map((v) => then.s * v);
      const h = then.t - now.t, pull = 0.5 * (1 + kappa) * now.g ** 2;
      const noise = Math.sqrt(kappa) * now.g * Math.sqrt(-h);
      const z = flow.noise(x);
      return x.map((v, i) => {
        const score = (D[i] - v / now.s) / (now.s * now.sigma ** 2);
        return v + h * (now.f * v - pull * score) + noise * z[i];
      });
    },
  };

  /* The stochastic pre-step of EDM: noise up to σ̂ = (1 + γ) σ, from where the step goes down. */
  function churn(S_churn, S_tmin = 0, S_tmax = Infinity, S_noise = 1) {
    return {
      gamma: (sigma, n) =>
        S_tmin <= sigma && sigma <= S_tmax ? Math.min(S_churn / n, Math.SQRT2 - 1) : 0,
      up(flow, x, now, up) {
        flow.last = null; // a multistep solver must not extrapolate across fresh noise
        const added = S_noise * Math.sqrt(up.sigma ** 2 - now.sigma ** 2), z = flow.noise(x);
        return x.map((v, i) => up.s * (v / now.s + added * z[i]));
      },
    };
  }

  /* Carries x, at noise level sigmas[0], down the grid. Returns the state at every level and the
     number of calls of the denoiser. */
  function sample(data, x, sigmas, step = steps.heun, options = {}) {
    const { process = edm(), normal = normals(0), churn = null } = options;
    const at = (sigma) => process.at(process.timeOf(sigma));
    const run = flow(data, process, normal), n = sigmas.length - 1;
    const trajectory = [x];
    for (let i = 0; i < n; i++) {
      let now = at(sigmas[i]);
      const gamma = churn ? churn.gamma(now.sigma, n) : 0;
      if (gamma > 0) {
        const up = at((1 + gamma) * sigmas[i]);
        x = churn.up(run, x, now, up);
        now = up;
      }
      x = step(run, x, now, at(sigmas[i + 1]));
      trajectory.push(x);
    }
    return { x, nfe: run.nfe, trajectory };
  }

  window.fewstep = {
    mixture, dataSet, score,
    processes: { edm, ve, vp },
    schedules: {
      linear, quadratic, sigmoidBeta, cosine, sigmoidAlphaBar, fromAlphaBars, fromProcess,
      iddpmLevels,
    },
    grids, normals, wiener, flow, steps, churn, sample, linspace,
  };
})();
