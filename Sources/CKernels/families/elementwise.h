FUNCTION void relu(ptrdiff_t n, float *y) {
  v16 zero = (v16)(0.0f);
  for (ptrdiff_t i = 0; i < n; i += 16) STORE(y + i, LOAD(y + i) > zero ? LOAD(y + i) : zero);
}

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

INLINE void transpose_8x8(const float *in, ptrdiff_t in_row, float *out, ptrdiff_t out_row) {
  v8 r[8], t[8];
  UNROLL for (int i = 0; i < 8; i++) r[i] = *(const v8u *)(in + i * in_row);
  UNROLL for (int i = 0; i < 8; i += 2) {
    t[i] = SHUFFLE(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    t[i + 1] = SHUFFLE(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  UNROLL for (int i = 0; i < 8; i += 4) {
    UNROLL for (int j = 0; j < 2; j++) {
      r[i + j] = SHUFFLE(t[i + j], t[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      r[i + j + 2] = SHUFFLE(t[i + j], t[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  UNROLL for (int i = 0; i < 4; i++) {
    *(v8u *)(out + i * out_row) = SHUFFLE(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *(v8u *)(out + (i + 4) * out_row) = SHUFFLE(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

FUNCTION void transpose(ptrdiff_t rows, ptrdiff_t columns, const float *in, ptrdiff_t in_row, float *out,
                        ptrdiff_t out_row) {
  for (ptrdiff_t c = 0; c < columns; c += 8) {
    for (ptrdiff_t r = 0; r < rows; r += 8) {
      if (r + 8 <= rows && c + 8 <= columns) {
        transpose_8x8(in + r * in_row + c, in_row, out + c * out_row + r, out_row);
        continue;
      }
      for (ptrdiff_t j = c; j < c + 8 && j < columns; j++) {
        for (ptrdiff_t i = r; i < r + 8 && i < rows; i++) out[j * out_row + i] = in[i * in_row + j];
      }
    }
  }
}

FUNCTION void divide_bytes(ptrdiff_t n, const uint8_t *bytes, float divisor, float *out) {
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) STORE(out + i, __builtin_convertvector(*(const b16 *)(bytes + i), v16) / (v16)(divisor));
  for (; i < n; i++) out[i] = (float)bytes[i] / divisor;
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

FUNCTION void mean(ptrdiff_t n, const float *g, const int64_t *sum, double samples, double scale, float *w) {
  for (ptrdiff_t i = 0; i < n; i++) w[i] = (float)((double)g[i] + (double)sum[i] / samples / scale);
}

FUNCTION ptrdiff_t live_runs(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t row, const float *x, ptrdiff_t least, ptrdiff_t most,
                             pm_run *runs) {
  ptrdiff_t count = 0, end = -least - 1;
  for (ptrdiff_t k = 0; k < n; k += 16) {
    i16 bits = (i16)(0);
    for (ptrdiff_t r = 0; r < rows; r++) bits |= *(const i16u *)(x + r * row + k);
    // Zero has no bit but its sign.
    bits = (bits & (i16)(0x7FFFFFFF)) != (i16)(0);
    for (ptrdiff_t j = 0; j < 16 && k + j < n; j++) {
      if (!bits[j]) continue;
      ptrdiff_t at = k + j;
      if (count > 0 && at - end < least && at + 1 - runs[count - 1].begin <= most) {
        runs[count - 1].count = (int32_t)(at + 1 - runs[count - 1].begin);
      } else {
        runs[count++] = (pm_run){(int32_t)at, 1};
      }
      end = at + 1;
    }
  }
  return count;
}

FUNCTION ptrdiff_t not_finite(ptrdiff_t n, const float *w) {
  ptrdiff_t bad = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    uint32_t bits;
    __builtin_memcpy(&bits, w + i, 4);
    bad += (bits & 0x7F800000u) == 0x7F800000u;
  }
  return bad;
}
