/* Wengert: tape-based reverse-mode automatic differentiation. The only header to include, but for wengert-dist.h. */
#ifndef WENGERT_H
#define WENGERT_H

#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "autograd/op.h"
#include "autograd/param.h"
#include "autograd/tape.h"
#include "autograd/trace.h"
#include "io/csv.h"
#include "io/dataset.h"
#include "io/io.h"
#include "io/log.h"
#include "io/picture.h"
#include "metrics/metrics.h"
#include "nn/attention.h"
#include "nn/bptt.h"
#include "nn/cells.h"
#include "nn/decode.h"
#include "nn/nn.h"
#include "nn/transformer.h"
#include "onnx/export.h"
#include "onnx/onnx.h"
#include "ops/indexing.h"
#include "ops/loss.h"
#include "ops/ops.h"
#include "optim/optim.h"
#include "train/chart.h"
#include "train/fit.h"
#include "train/progress.h"
#include "train/report.h"

#endif
