// One time step of recurrent cells. `gates` holds the sums before the gates' functions, a row for each sample; forward they are
// replaced by the gates, backward by the gradients of the sums. h: hidden units, not a multiple of anything.
INLINE v16 load_part(const float *p, ptrdiff_t left) {
  if (left >= 16) return LOAD(p);
  v16 v = (v16)(0.0f);
  for (ptrdiff_t i = 0; i < left; i++) v[i] = p[i];
  return v;
}
INLINE void store_part(float *p, v16 v, ptrdiff_t left) {
  if (left >= 16) {
    STORE(p, v);
    return;
  }
  for (ptrdiff_t i = 0; i < left; i++) p[i] = v[i];
}

// Gates i, o, f, c in this order (ONNX). c = f c_before + i g; h = o tanh c.
FUNCTION void lstm_cell(ptrdiff_t batch, ptrdiff_t units, float *gates, ptrdiff_t gate_stride, const float *c_before,
                        float *c, float *h, ptrdiff_t stride) {
  for (ptrdiff_t b = 0; b < batch; b++) {
    float *g = gates + b * gate_stride;
    for (ptrdiff_t k = 0; k < units; k += 16) {
      ptrdiff_t left = units - k;
      v16 in = sigmoid16(load_part(g + k, left)), out = sigmoid16(load_part(g + units + k, left));
      v16 forget = sigmoid16(load_part(g + 2 * units + k, left)), fresh = tanh16(load_part(g + 3 * units + k, left));
      v16 state = FMA(forget, LOAD(c_before + b * stride + k), in * fresh);
      store_part(g + k, in, left);
      store_part(g + units + k, out, left);
      store_part(g + 2 * units + k, forget, left);
      store_part(g + 3 * units + k, fresh, left);
      STORE(c + b * stride + k, cut(state, left));
      STORE(h + b * stride + k, cut(out * tanh16(state), left));
    }
  }
}

// dh: the whole gradient of h; dc: that of c from the step after, replaced by that of c_before.
FUNCTION void lstm_cell_gradient(ptrdiff_t batch, ptrdiff_t units, float *gates, ptrdiff_t gate_stride,
                                 const float *c_before, const float *c, const float *dh, float *dc, ptrdiff_t stride) {
  const v16 one = (v16)(1.0f);
  for (ptrdiff_t b = 0; b < batch; b++) {
    float *g = gates + b * gate_stride;
    for (ptrdiff_t k = 0; k < units; k += 16) {
      ptrdiff_t left = units - k;
      v16 in = load_part(g + k, left), out = load_part(g + units + k, left);
      v16 forget = load_part(g + 2 * units + k, left), fresh = load_part(g + 3 * units + k, left);
      v16 t = tanh16(LOAD(c + b * stride + k)), d = LOAD(dh + b * stride + k);
      v16 s = FMA(d * out, FMA(-t, t, one), LOAD(dc + b * stride + k));
      store_part(g + k, s * fresh * in * (one - in), left);
      store_part(g + units + k, d * t * out * (one - out), left);
      store_part(g + 2 * units + k, s * LOAD(c_before + b * stride + k) * forget * (one - forget), left);
      store_part(g + 3 * units + k, s * in * FMA(-fresh, fresh, one), left);
      STORE(dc + b * stride + k, cut(s * forget, left));
    }
  }
}

// Gates z, r, n (ONNX, linear_before_reset 1). `gates`: the input's part; `hidden`: h_before R + its bias.
// n = tanh(x part + r hidden part); h = (1 - z) n + z h_before.
FUNCTION void gru_cell(ptrdiff_t batch, ptrdiff_t units, float *gates, const float *hidden, ptrdiff_t gate_stride,
                       const float *before, float *h, ptrdiff_t stride) {
  const v16 one = (v16)(1.0f);
  for (ptrdiff_t b = 0; b < batch; b++) {
    float *g = gates + b * gate_stride;
    const float *q = hidden + b * gate_stride;
    for (ptrdiff_t k = 0; k < units; k += 16) {
      ptrdiff_t left = units - k;
      v16 z = sigmoid16(load_part(g + k, left) + load_part(q + k, left));
      v16 r = sigmoid16(load_part(g + units + k, left) + load_part(q + units + k, left));
      v16 n = tanh16(FMA(r, load_part(q + 2 * units + k, left), load_part(g + 2 * units + k, left)));
      store_part(g + k, z, left);
      store_part(g + units + k, r, left);
      store_part(g + 2 * units + k, n, left);
      STORE(h + b * stride + k, cut(FMA(z, LOAD(before + b * stride + k), (one - z) * n), left));
    }
  }
}

// Replaces gates by the gradients of the input's part, hidden by those of the hidden part; dh by what goes straight to h_before.
FUNCTION void gru_cell_gradient(ptrdiff_t batch, ptrdiff_t units, float *gates, float *hidden, ptrdiff_t gate_stride,
                                const float *before, float *dh, ptrdiff_t stride) {
  const v16 one = (v16)(1.0f);
  for (ptrdiff_t b = 0; b < batch; b++) {
    float *g = gates + b * gate_stride, *q = hidden + b * gate_stride;
    for (ptrdiff_t k = 0; k < units; k += 16) {
      ptrdiff_t left = units - k;
      v16 z = load_part(g + k, left), r = load_part(g + units + k, left), n = load_part(g + 2 * units + k, left);
      v16 d = LOAD(dh + b * stride + k), inner = load_part(q + 2 * units + k, left);
      v16 dn = d * (one - z) * FMA(-n, n, one);
      v16 dz = d * (LOAD(before + b * stride + k) - n) * z * (one - z);
      v16 dr = dn * inner * r * (one - r);
      store_part(g + k, dz, left);
      store_part(g + units + k, dr, left);
      store_part(g + 2 * units + k, dn, left);
      store_part(q + k, dz, left);
      store_part(q + units + k, dr, left);
      store_part(q + 2 * units + k, dn * r, left);
      STORE(dh + b * stride + k, cut(d * z, left));
    }
  }
}
