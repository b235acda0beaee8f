// Exponentials and their kin over 16 lanes, by polynomials of our own: no library's version changes a bit.

// exp for any x: what would overflow is cut at the largest power, what would vanish is cut at the smallest.
INLINE v16 exp_any(v16 x) { return exp16(x > (v16)(88.0f) ? (v16)(88.0f) : x); }

INLINE v16 sigmoid16(v16 x) { return (v16)(1.0f) / ((v16)(1.0f) + exp_any(-x)); }

// |x| < 0.625 by an odd polynomial (Moshier's Cephes gives its coefficients), else by the exponential.
INLINE v16 tanh16(v16 x) {
  v16 size = __builtin_elementwise_abs(x), z = x * x;
  v16 p = (v16)(-5.70498872745e-3f);
  p = FMA(p, z, (v16)(2.06390887954e-2f));
  p = FMA(p, z, (v16)(-5.37397155531e-2f));
  p = FMA(p, z, (v16)(1.33314422036e-1f));
  p = FMA(p, z, (v16)(-3.33332819422e-1f));
  v16 near = FMA(p * z, x, x);
  v16 far = (v16)(1.0f) - (v16)(2.0f) / (exp_any(size + size) + (v16)(1.0f));
  far = x < (v16)(0.0f) ? -far : far;
  return size < (v16)(0.625f) ? near : far;
}

// erf as a quotient of an odd and an even polynomial on [-4, 4], beyond which float32 knows only 1.
INLINE v16 erf16(v16 x) {
  x = x > (v16)(4.0f) ? (v16)(4.0f) : x;
  x = x < (v16)(-4.0f) ? (v16)(-4.0f) : x;
  v16 z = x * x;
  v16 p = (v16)(-2.72614225801306e-10f);
  p = FMA(p, z, (v16)(2.77068142495902e-08f));
  p = FMA(p, z, (v16)(-2.10102402082508e-06f));
  p = FMA(p, z, (v16)(-5.69250639462346e-05f));
  p = FMA(p, z, (v16)(-7.34990630326855e-04f));
  p = FMA(p, z, (v16)(-2.95459980854025e-03f));
  p = FMA(p, z, (v16)(-1.60960333262415e-02f));
  v16 q = (v16)(-1.45660718464996e-05f);
  q = FMA(q, z, (v16)(-2.13374055278905e-04f));
  q = FMA(q, z, (v16)(-1.68282697438203e-03f));
  q = FMA(q, z, (v16)(-7.37332916720468e-03f));
  q = FMA(q, z, (v16)(-1.42647390514189e-02f));
  return p * x / q;
}

#define SQRT_HALF 0.70710678118654752f
#define ROOT_2_PI 0.79788456080286536f

// The inner function of the tanh form of GELU: tanh(sqrt(2/pi) (x + 0.044715 x^3)).
INLINE v16 gelu_inner(v16 x) { return tanh16((v16)(ROOT_2_PI) * FMA((v16)(0.044715f) * x * x, x, x)); }

INLINE v16 each_power(v16 x, float exponent) {
  if (exponent == 2.0f) return x * x;
  if (exponent == 3.0f) return x * x * x;
  if (exponent == 0.5f) return __builtin_elementwise_sqrt(x);
  if (exponent == -0.5f) return (v16)(1.0f) / __builtin_elementwise_sqrt(x);
  if (exponent == -1.0f) return (v16)(1.0f) / x;
  if (exponent == 1.0f) return x;
  if (exponent == (float)(int)(exponent < 64.0f && exponent > -64.0f ? exponent : 0.5f)) {
    // Whole exponents by squaring, so that what is below zero has a power too.
    int left = exponent < 0.0f ? -(int)exponent : (int)exponent;
    v16 result = (v16)(1.0f), factor = x;
    for (; left; left >>= 1) {
      if (left & 1) result *= factor;
      factor *= factor;
    }
    return exponent < 0.0f ? (v16)(1.0f) / result : result;
  }
  for (int i = 0; i < 16; i++) x[i] = (float)pm_exp((double)exponent * pm_log((double)x[i]));
  return x;
}
INLINE v16 each_log(v16 x) {
  for (int i = 0; i < 16; i++) x[i] = (float)pm_log((double)x[i]);
  return x;
}
