// Max-pooling over 2x2. The first maximum wins, rows before columns.
FUNCTION void pool(ptrdiff_t n, ptrdiff_t h, ptrdiff_t w, ptrdiff_t c, int relu, const float *y, float *out,
                   ptrdiff_t out_row, ptrdiff_t out_image, uint8_t *index) {
  for (ptrdiff_t image = 0; image < n; image++) {
    for (ptrdiff_t r = 0; r < h; r++) {
      for (ptrdiff_t q = 0; q < w; q++) {
        const float *p = y + ((image * 2 * h + 2 * r) * 2 * w + 2 * q) * c;
        float *o = out + image * out_image + r * out_row + q * c;
        uint8_t *at = index + ((image * h + r) * w + q) * c;
        for (ptrdiff_t k = 0; k < c; k += 16) {
          v16 best = LOAD(p + k);
          i16 which = (i16)(0);
          v16 next = LOAD(p + c + k);
          i16 more = next > best;
          best = more ? next : best;
          which = more ? (i16)(1) : which;
          next = LOAD(p + 2 * w * c + k);
          more = next > best;
          best = more ? next : best;
          which = more ? (i16)(2) : which;
          next = LOAD(p + 2 * w * c + c + k);
          more = next > best;
          best = more ? next : best;
          which = more ? (i16)(3) : which;
          if (relu) best = best > (v16)(0.0f) ? best : (v16)(0.0f);
          STORE(o + k, best);
          *(b16 *)(at + k) = __builtin_convertvector(which, b16);
        }
      }
    }
  }
}

FUNCTION void pool_backward(ptrdiff_t n, ptrdiff_t h, ptrdiff_t w, ptrdiff_t c, int masked, const float *pooled,
                            ptrdiff_t p_row, ptrdiff_t p_image, const float *dp, ptrdiff_t dp_row, ptrdiff_t dp_image,
                            const uint8_t *index, float *dy, ptrdiff_t dy_row, ptrdiff_t dy_image, float *db) {
  v16 zero = (v16)(0.0f);
  for (ptrdiff_t image = 0; image < n; image++) {
    for (ptrdiff_t r = 0; r < h; r++) {
      for (ptrdiff_t q = 0; q < w; q++) {
        const float *p = pooled + image * p_image + r * p_row + q * c;
        const float *d = dp + image * dp_image + r * dp_row + q * c;
        const uint8_t *at = index + ((image * h + r) * w + q) * c;
        float *o = dy + image * dy_image + 2 * r * dy_row + 2 * q * c;
        for (ptrdiff_t k = 0; k < c; k += 16) {
          v16 g = LOAD(d + k);
          if (masked) g = LOAD(p + k) > zero ? g : zero;
          i16 which = __builtin_convertvector(*(const b16 *)(at + k), i16);
          STORE(o + k, which == 0 ? g : zero);
          STORE(o + c + k, which == 1 ? g : zero);
          STORE(o + dy_row + k, which == 2 ? g : zero);
          STORE(o + dy_row + c + k, which == 3 ? g : zero);
          STORE(db + k, LOAD(db + k) + g);
        }
      }
    }
  }
}
