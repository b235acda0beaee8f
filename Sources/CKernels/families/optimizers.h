// Steps of optimizers over all parameters at once; gradients may be scaled and decayed on their way.

// g' = scale g + decay w + pull (w - origin); origin may be null.
INLINE v16 shaped_gradient(const pm_descent *d, const float *g, const float *w, const float *origin, ptrdiff_t i) {
  v16 value = LOAD(w + i), gradient = (v16)(d->scale) * LOAD(g + i);
  gradient = FMA((v16)(d->decay), value, gradient);
  if (origin) gradient = FMA((v16)(d->pull), value - LOAD(origin + i), gradient);
  return gradient;
}

// v = momentum v + g' (g' alone in the first step); w -= rate v, or rate (g' + momentum v) after Nesterov.
FUNCTION void momentum_step(ptrdiff_t n, const pm_descent *d, const float *g, const float *origin, float *v, float *w) {
  v16 rate = (v16)(-d->rate), momentum = (v16)(d->momentum);
  for (ptrdiff_t i = 0; i < n; i += 16) {
    v16 gradient = shaped_gradient(d, g, w, origin, i), move = gradient;
    if (v) {
      v16 velocity = d->step == 1 ? gradient : FMA(momentum, LOAD(v + i), gradient);
      STORE(v + i, velocity);
      move = d->is_nesterov ? FMA(momentum, velocity, gradient) : velocity;
    }
    STORE(w + i, FMA(rate, move, LOAD(w + i)));
  }
}

// m = b1 m + (1 - b1) g'; s = b2 s + (1 - b2) g'^2; w -= rate1 m / (sqrt(s) / root2 + epsilon), where rate1 = rate / (1 - b1^t)
// and root2 = sqrt(1 - b2^t); before that w *= keep, which is 1 but for AdamW.
FUNCTION void adam_step(ptrdiff_t n, const pm_descent *d, const float *g, const float *origin, float *m, float *s, float *w) {
  v16 b1 = (v16)(d->beta1), b2 = (v16)(d->beta2), c1 = (v16)(1.0f - d->beta1), c2 = (v16)(1.0f - d->beta2);
  v16 rate = (v16)(-d->rate1), root = (v16)(d->root2), epsilon = (v16)(d->epsilon), keep = (v16)(d->keep);
  for (ptrdiff_t i = 0; i < n; i += 16) {
    v16 gradient = shaped_gradient(d, g, w, origin, i);
    v16 first = FMA(b1, LOAD(m + i), c1 * gradient), second = FMA(b2, LOAD(s + i), c2 * gradient * gradient);
    STORE(m + i, first);
    STORE(s + i, second);
    v16 size = __builtin_elementwise_sqrt(second) / root + epsilon;
    STORE(w + i, FMA(rate, first / size, keep * LOAD(w + i)));
  }
}

// The sum of squares, in double: 16 lanes and a tree.
FUNCTION double squares(ptrdiff_t n, const float *x) {
  d8 lo = (d8)(0.0), hi = (d8)(0.0);
  for (ptrdiff_t i = 0; i < n; i += 16) {
    v16 v = LOAD(x + i);
    d8 a = WIDE(v.lo), b = WIDE(v.hi);
    lo += a * a;
    hi += b * b;
  }
  d8 sum = lo + hi;
  double r = 0;
  for (int i = 0; i < 4; i++) r += sum[i] + sum[i + 4];
  return r;
}

// Losses of one number each: sums in double, in order. dz = slope * scale.
FUNCTION double value_loss(int kind, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *z, const float *t,
                           float *dz, float scale, ptrdiff_t *correct) {
  double loss = 0;
  const v16 one = (v16)(1.0f);
  for (ptrdiff_t r = 0; r < rows; r++) {
    const float *a = z + r * stride, *target = t + r * stride;
    int all = 1;
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 x = LOAD(a + k), y = LOAD(target + k), slope, each;
      if (kind == pm_squared) {
        v16 d = x - y;
        slope = d + d;
        each = d * d;
      } else if (kind == pm_binary_logits) {
        v16 size = __builtin_elementwise_abs(x);
        slope = sigmoid16(x) - y;
        each = (x > (v16)(0.0f) ? x : (v16)(0.0f)) - x * y + each_log(one + exp_any(-size));
      } else {
        v16 on = each_log(x), off = each_log(one - x), least = (v16)(-100.0f);
        on = on > least ? on : least;
        off = off > least ? off : least;
        v16 bottom = x * (one - x);
        slope = (x - y) / (bottom > (v16)(1e-12f) ? bottom : (v16)(1e-12f));
        each = -(y * on + (one - y) * off);
      }
      if (dz) STORE(dz + r * stride + k, cut(slope * (v16)(scale), width - k));
      for (ptrdiff_t i = 0; i < 16 && k + i < width; i++) {
        loss += (double)each[i];
        float border = kind == pm_binary_logits ? 0.0f : 0.5f;
        all &= (x[i] > border) == (y[i] > 0.5f);
      }
    }
    *correct += all;
  }
  return loss;
}
