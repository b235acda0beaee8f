// Softmax and its loss. exp by a polynomial of degree 6 after reduction by ln 2 in two parts, for x <= 0.
INLINE v16 exp16(v16 x) {
  x = x < (v16)(-87.0f) ? (v16)(-87.0f) : x;
  v16 shifted = FMA(x, (v16)(1.44269504088896341f), (v16)(12582912.0f));
  v16 n = shifted - (v16)(12582912.0f);
  v16 r = FMA(n, (v16)(-0.693359375f), x);
  r = FMA(n, (v16)(2.12194440e-4f), r);
  v16 p = (v16)(1.9875691500e-4f);
  p = FMA(p, r, (v16)(1.3981999507e-3f));
  p = FMA(p, r, (v16)(8.3334519073e-3f));
  p = FMA(p, r, (v16)(4.1665795894e-2f));
  p = FMA(p, r, (v16)(1.6666665459e-1f));
  p = FMA(p, r, (v16)(5.0000001201e-1f));
  p = FMA(p * r, r, r) + (v16)(1.0f);
  // The last bits of `shifted` are n. No conversion: what it makes of NaN and of lanes that do not count is undefined.
  union {
    v16 f;
    u16 i;
  } power = {shifted};
  power.i = (power.i + 127u) << 23;
  return p * power.f;
}

FUNCTION double softmax_loss(ptrdiff_t rows, ptrdiff_t classes, ptrdiff_t row, const float *z, const int32_t *labels,
                             float *dz, float scale, ptrdiff_t *correct) {
  double loss = 0;
  const i16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (ptrdiff_t i = 0; i < rows; i++) {
    const float *a = z + i * row;
    float largest = a[0];
    ptrdiff_t first = 0;
    for (ptrdiff_t k = 1; k < classes; k++) {
      if (a[k] > largest) {
        largest = a[k];
        first = k;
      }
    }
    if (first == labels[i]) ++*correct;
    v16 sum = (v16)(0.0f);
    for (ptrdiff_t k = 0; k < row; k += 16) {
      v16 e = exp16(LOAD(a + k) - (v16)(largest));
      i16 is_class = (lane + (int)k) < (int)classes;
      e = is_class ? e : (v16)(0.0f);
      if (dz) STORE(dz + i * row + k, e);
      sum += e;
    }
    float total = tree_sum(sum);
    loss += pm_log((double)total) - (double)(a[labels[i]] - largest);
    if (dz) {
      float *d = dz + i * row;
      v16 share = (v16)(scale / total);
      for (ptrdiff_t k = 0; k < row; k += 16) STORE(d + k, LOAD(d + k) * share);
      d[labels[i]] -= scale;
    }
  }
  return loss;
}
