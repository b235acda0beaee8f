#include "vector.h"

#include "product.h"

#include "pooling.h"

#include "loss.h"

#include "elementwise.h"

#include "transcendental.h"

#include "maps.h"

#include "norms.h"

#include "windows.h"

#include "recurrent.h"

#include "optimizers.h"

const pm_kernels TABLE = {NAME, product, dots, pool, pool_backward, softmax_loss, relu, relu_backward, column_sums, descend,
                          descend_with_momentum, divide_bytes, accumulate, mean, not_finite, live_runs, transpose,
                          unary, unary_gradient, binary, binary_gradient, choose, reduce, largest, copy, dropout, softmax,
                          softmax_gradient, row_norm, row_norm_gradient, channel_moments, channel_norm,
                          channel_norm_gradient, max_window, max_window_gradient, mean_window, mean_window_gradient,
                          depthwise, depthwise_gradient, lstm_cell, lstm_cell_gradient, gru_cell, gru_cell_gradient,
                          momentum_step, adam_step, squares, value_loss, clear_tails, fill_rows, fill, move};
