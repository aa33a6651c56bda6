/* Derivatives.
 *
 * Differentiating walks the tape backwards and appends gradient nodes to the same tape; they are
 * ordinary tensors and can be differentiated again. */
#ifndef WG_GRAD_H
#define WG_GRAD_H

#include "param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Computes the scalar loss and adds d loss / d p to the gradient of every parameter p of every set that
 * the loss depends on (frozen ones and buffers apart). Either all gradients are added or, on error, none
 * is touched. */
WG_API wg_status wg_backward(wg_tensor loss);
/* The same for chosen parameters only. */
WG_API wg_status wg_backward_into(wg_tensor loss, wg_param *const *params, size_t n);

/* Bytes that wg_backward(loss) would take on top of what is there, without running: more where there are gradients
 * already, to which the new ones are added. 0 on error. */
WG_API size_t wg_backward_bytes(wg_tensor loss);

/* Gradients as tensors: dx[i] = (dy/dx[i])^T dy, of the shape of x[i]. y may have any shape; dy has y's
 * shape, or is WG_NONE for ones. Zeros where y does not depend on x[i]. */
WG_API void wg_grad(wg_tensor y, const wg_tensor *x, int n, wg_tensor dy, wg_tensor *dx);
/* The same for one tensor. */
WG_API wg_tensor wg_grad1(wg_tensor y, wg_tensor x, wg_tensor dy);

/* Products with the Jacobian J = dy/dx:  vjp = J^T u, u of y's shape;  jvp = J v, v of x's shape. */
WG_API wg_tensor wg_vjp(wg_tensor y, wg_tensor x, wg_tensor u);
WG_API wg_tensor wg_jvp(wg_tensor y, wg_tensor x, wg_tensor v);
/* H v, with H the second derivative of the scalar y by x. */
WG_API wg_tensor wg_hvp(wg_tensor y, wg_tensor x, wg_tensor v);
/* The whole Jacobian, shape [numel(y), numel(x)]; one reverse sweep a row: for small y. */
WG_API wg_tensor wg_jacobian(wg_tensor y, wg_tensor x);
/* The whole second derivative of the scalar y, shape [numel(x), numel(x)]. */
WG_API wg_tensor wg_hessian(wg_tensor y, wg_tensor x);

#ifdef __cplusplus
}
#endif
#endif
