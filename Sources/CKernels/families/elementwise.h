FUNCTION void relu_backward(ptrdiff_t n, const float *y, float *dy) {
  v16 zero = (v16)(0.0f);
  for (ptrdiff_t i = 0; i < n; i += 16) STORE(dy + i, LOAD(y + i) > zero ? LOAD(dy + i) : zero);
}

FUNCTION void column_sums(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t row, const float *d, float *sums, int accumulate) {
  for (ptrdiff_t k = 0; k < n; k += 16) {
    v16 s = accumulate ? LOAD(sums + k) : (v16)(0.0f);
    for (ptrdiff_t r = 0; r < rows; r++) s += LOAD(d + r * row + k);
    STORE(sums + k, s);
  }
}

FUNCTION void descend(ptrdiff_t n, float rate, const float *gradient, float *w) {
  v16 r = (v16)(-rate);
  for (ptrdiff_t i = 0; i < n; i += 16) STORE(w + i, FMA(r, LOAD(gradient + i), LOAD(w + i)));
}

FUNCTION void descend_with_momentum(ptrdiff_t n, float rate, float momentum, const float *gradient, float *v, float *w) {
  v16 r = (v16)(-rate), m = (v16)(momentum);
  for (ptrdiff_t i = 0; i < n; i += 16) {
    v16 velocity = FMA(m, LOAD(v + i), LOAD(gradient + i));
    STORE(v + i, velocity);
    STORE(w + i, FMA(r, velocity, LOAD(w + i)));
  }
}

FUNCTION void scale_bytes(ptrdiff_t n, const uint8_t *bytes, float scale, float *out) {
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) STORE(out + i, __builtin_convertvector(*(const b16 *)(bytes + i), v16) * (v16)(scale));
  for (; i < n; i++) out[i] = (float)bytes[i] * scale;
}

// Rounding to nearest, ties to even, by the conversion itself: the default rounding mode is part of the definition.
FUNCTION ptrdiff_t accumulate(ptrdiff_t n, const float *w, const float *g, double scale, double clip, int64_t weight,
                              int64_t *sum) {
  ptrdiff_t refused = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    double moved = (double)w[i] - (double)g[i];
    // A comparison with NaN is false, so that it is refused as well.
    int good = __builtin_fabs(moved) <= clip;
    refused += !good;
    double scaled = __builtin_rint(good ? moved * scale : 0.0);
    sum[i] += weight * (int64_t)scaled;
  }
  return refused;
}

FUNCTION ptrdiff_t not_finite(ptrdiff_t n, const float *w) {
  ptrdiff_t bad = 0;
  const uint32_t *bits = (const uint32_t *)w;
  for (ptrdiff_t i = 0; i < n; i++) bad += (bits[i] & 0x7F800000u) == 0x7F800000u;
  return bad;
}
