/* Wengert: tape-based reverse-mode automatic differentiation. This is the only header that users include. */
#ifndef WENGERT_H
#define WENGERT_H

#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "autograd/op.h"
#include "autograd/param.h"
#include "autograd/tape.h"
#include "autograd/trace.h"
#include "io/io.h"
#include "nn/attention.h"
#include "nn/bptt.h"
#include "nn/cells.h"
#include "nn/decode.h"
#include "nn/nn.h"
#include "nn/transformer.h"
#include "ops/ops.h"
#include "optim/optim.h"
#include "train/fit.h"
#include "train/progress.h"

#endif
