#include "vector.h"

#include "product.h"

#include "pooling.h"

#include "loss.h"

#include "elementwise.h"

const pm_kernels TABLE = {NAME, product, dots, pool, pool_backward, softmax_loss, relu, relu_backward, column_sums, descend,
                          descend_with_momentum, divide_bytes, accumulate, mean, not_finite, live_runs, transpose};
