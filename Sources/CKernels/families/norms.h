// Softmax along rows, and norms of rows and of channels.
FUNCTION void softmax(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, int is_log, const float *x, float *y) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    const float *a = x + r * stride;
    float *o = y + r * stride;
    v16 most = (v16)(a[0]);
    for (ptrdiff_t k = 0; k + 16 <= width; k += 16) most = LOAD(a + k) > most ? LOAD(a + k) : most;
    float largest = most[0];
    for (int i = 1; i < 16; i++) largest = most[i] > largest ? most[i] : largest;
    for (ptrdiff_t k = width & ~(ptrdiff_t)15; k < width; k++) largest = a[k] > largest ? a[k] : largest;
    v16 sum = (v16)(0.0f);
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 d = LOAD(a + k) - (v16)(largest);
      v16 e = d < (v16)(-87.0f) ? (v16)(0.0f) : exp16(d);
      e = cut(e, width - k);
      if (!is_log) STORE(o + k, e);
      sum += e;
    }
    float total = tree_sum(sum);
    if (is_log) {
      float shift = (float)pm_log((double)total);
      for (ptrdiff_t k = 0; k < width; k += 16)
        STORE(o + k, cut(LOAD(a + k) - (v16)(largest) - (v16)(shift), width - k));
    } else {
      v16 share = (v16)(1.0f / total);
      for (ptrdiff_t k = 0; k < width; k += 16) STORE(o + k, LOAD(o + k) * share);
    }
  }
}

// dx = y (dy - sum(dy y)); for the logarithm dx = dy - exp(y) sum(dy).
FUNCTION void softmax_gradient(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, int is_log, const float *y, const float *dy,
                               float *dx, int accumulate) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    const float *a = y + r * stride, *d = dy + r * stride;
    float *o = dx + r * stride;
    v16 sum = (v16)(0.0f);
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 g = LOAD(d + k);
      sum = within(is_log ? sum + g : FMA(g, LOAD(a + k), sum), sum, width - k);
    }
    v16 total = (v16)(tree_sum(sum));
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 g = is_log ? LOAD(d + k) - exp_any(LOAD(a + k)) * total : LOAD(a + k) * (LOAD(d + k) - total);
      if (accumulate) g += LOAD(o + k);
      STORE(o + k, cut(g, width - k));
    }
  }
}

// y = (x - mean) r gamma + beta for each row; gamma and beta may be null. saved: mean and r of each row.
FUNCTION void row_norm(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, float epsilon, const float *gamma,
                       const float *beta, const float *x, float *y, float *saved) {
  float count = (float)width;
  for (ptrdiff_t row = 0; row < rows; row++) {
    const float *a = x + row * stride;
    float *o = y + row * stride;
    v16 sum = (v16)(0.0f), squares = (v16)(0.0f);
    for (ptrdiff_t k = 0; k < width; k += 16) sum += cut(LOAD(a + k), width - k);
    v16 mean = (v16)(tree_sum(sum) / count);
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 d = cut(LOAD(a + k) - mean, width - k);
      squares = FMA(d, d, squares);
    }
    float r = 1.0f / __builtin_sqrtf(tree_sum(squares) / count + epsilon);
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 v = (LOAD(a + k) - mean) * (v16)(r);
      if (gamma) v *= LOAD(gamma + k);
      if (beta) v += LOAD(beta + k);
      STORE(o + k, cut(v, width - k));
    }
    saved[row * 2] = mean[0];
    saved[row * 2 + 1] = r;
  }
}

// With g = dy gamma: dx = r (g - mean(g) - xhat mean(g xhat)); adds to dgamma and dbeta, rows in order. Any target may be null.
FUNCTION void row_norm_gradient(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *gamma, const float *x,
                                const float *saved, const float *dy, float *dx, int accumulate, float *dgamma, float *dbeta) {
  float count = (float)width;
  for (ptrdiff_t row = 0; row < rows; row++) {
    const float *a = x + row * stride, *d = dy + row * stride;
    v16 mean = (v16)(saved[row * 2]), r = (v16)(saved[row * 2 + 1]);
    v16 sum = (v16)(0.0f), dots = (v16)(0.0f);
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 hat = cut((LOAD(a + k) - mean) * r, width - k), e = cut(LOAD(d + k), width - k), g = e;
      if (gamma) g = cut(g * LOAD(gamma + k), width - k);
      sum += g;
      dots = FMA(g, hat, dots);
      if (dgamma) STORE(dgamma + k, cut(FMA(e, hat, LOAD(dgamma + k)), width - k));
      if (dbeta) STORE(dbeta + k, LOAD(dbeta + k) + e);
    }
    if (!dx) continue;
    v16 m = (v16)(tree_sum(sum) / count), p = (v16)(tree_sum(dots) / count);
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 hat = (LOAD(a + k) - mean) * r, g = LOAD(d + k);
      if (gamma) g *= LOAD(gamma + k);
      g = r * (g - m - hat * p);
      float *o = dx + row * stride + k;
      if (accumulate) g += LOAD(o);
      STORE(o, cut(g, width - k));
    }
  }
}

typedef double d8 __attribute__((ext_vector_type(8)));
#define WIDE(v) __builtin_convertvector(v, d8)

// Mean and r = 1/sqrt(variance + epsilon) of every channel, in double, rows in order; variance takes a second pass.
FUNCTION void channel_moments(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, float *mean,
                              float *variance) {
  for (ptrdiff_t k = 0; k < width; k += 16) {
    d8 lo = (d8)(0.0), hi = (d8)(0.0);
    for (ptrdiff_t r = 0; r < rows; r++) {
      v16 v = LOAD(x + r * stride + k);
      lo += WIDE(v.lo);
      hi += WIDE(v.hi);
    }
    lo /= (double)rows;
    hi /= (double)rows;
    d8 lo2 = (d8)(0.0), hi2 = (d8)(0.0);
    for (ptrdiff_t r = 0; r < rows; r++) {
      v16 v = LOAD(x + r * stride + k);
      d8 a = WIDE(v.lo) - lo, b = WIDE(v.hi) - hi;
      lo2 += a * a;
      hi2 += b * b;
    }
    v16 m, s;
    m.lo = __builtin_convertvector(lo, v8);
    m.hi = __builtin_convertvector(hi, v8);
    s.lo = __builtin_convertvector(lo2 / (double)rows, v8);
    s.hi = __builtin_convertvector(hi2 / (double)rows, v8);
    STORE(mean + k, m);
    STORE(variance + k, s);
  }
}

// y = (x - mean) r gamma + beta for each channel, cut at 0 where relu.
FUNCTION void channel_norm(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, const float *mean,
                           const float *r, const float *gamma, const float *beta, int relu, float *y) {
  const v16 zero = (v16)(0.0f);
  for (ptrdiff_t k = 0; k < width; k += 16) {
    v16 m = LOAD(mean + k), scale = LOAD(r + k) * LOAD(gamma + k), b = LOAD(beta + k);
    for (ptrdiff_t row = 0; row < rows; row++) {
      v16 v = FMA(LOAD(x + row * stride + k) - m, scale, b);
      if (relu) v = v > zero ? v : zero;
      STORE(y + row * stride + k, cut(v, width - k));
    }
  }
}

// dgamma and dbeta of every channel, and then dx = gamma r (dy - dbeta/N - xhat dgamma/N) where `moving` (the moments came
// from this batch), else gamma r dy. y masks dy where a ReLU came after; it may be null.
FUNCTION void channel_norm_gradient(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, const float *mean,
                                    const float *r, const float *gamma, const float *y, const float *dy, int moving,
                                    float *dx, int accumulate, float *dgamma, float *dbeta) {
  const v16 zero = (v16)(0.0f);
  for (ptrdiff_t k = 0; k < width; k += 16) {
    v16 m = LOAD(mean + k), rr = LOAD(r + k);
    d8 g_lo = (d8)(0.0), g_hi = (d8)(0.0), b_lo = (d8)(0.0), b_hi = (d8)(0.0);
    for (ptrdiff_t row = 0; row < rows; row++) {
      v16 d = LOAD(dy + row * stride + k);
      if (y) d = LOAD(y + row * stride + k) > zero ? d : zero;
      v16 h = d * ((LOAD(x + row * stride + k) - m) * rr);
      b_lo += WIDE(d.lo);
      b_hi += WIDE(d.hi);
      g_lo += WIDE(h.lo);
      g_hi += WIDE(h.hi);
    }
    v16 sum_g, sum_b;
    sum_g.lo = __builtin_convertvector(g_lo, v8);
    sum_g.hi = __builtin_convertvector(g_hi, v8);
    sum_b.lo = __builtin_convertvector(b_lo, v8);
    sum_b.hi = __builtin_convertvector(b_hi, v8);
    if (dgamma) STORE(dgamma + k, cut(LOAD(dgamma + k) + sum_g, width - k));
    if (dbeta) STORE(dbeta + k, cut(LOAD(dbeta + k) + sum_b, width - k));
    if (!dx) continue;
    float count = (float)rows;
    v16 scale = LOAD(gamma + k) * rr, mean_g = sum_g / (v16)(count), mean_b = sum_b / (v16)(count);
    for (ptrdiff_t row = 0; row < rows; row++) {
      v16 d = LOAD(dy + row * stride + k);
      if (y) d = LOAD(y + row * stride + k) > zero ? d : zero;
      if (moving) {
        v16 hat = (LOAD(x + row * stride + k) - m) * rr;
        d = d - mean_b - hat * mean_g;
      }
      d *= scale;
      float *o = dx + row * stride + k;
      if (accumulate) d += LOAD(o);
      STORE(o, cut(d, width - k));
    }
  }
}
