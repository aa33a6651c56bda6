/* Derivatives.
 *
 * Differentiation traverses the tape in reverse and appends gradient nodes to it. They are ordinary tensors and can be
 * differentiated again.
 *
 *     wg_zero_grad(model);
 *     if (wg_backward(loss) == WG_OK) wg_optimizer_step(optimizer);
 *
 *     wg_tensor dy = wg_grad1(y, x, WG_NONE);                       // dy/dx, as a tensor
 *     wg_tensor ddy = wg_grad1(dy, x, WG_NONE);                     // and its own derivative
 *
 * A function that has nothing to do, such as a slice of all elements or a cast to the same dtype, may return its
 * operand: the derivative by the one is then that by the other. wg_scale(x, 1) is always a tensor of its own. */
#ifndef WG_GRAD_H
#define WG_GRAD_H

#include "param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Computes the scalar loss and adds d loss / d p to the gradient of every parameter p of any set that the loss depends
 * on, except frozen ones and buffers. WG_ERR_GRADIENT if there is none to which a gradient flows. On error, also one
 * that was made while the loss was recorded, no gradient changes, and those of the sets that the recording used become
 * invalid (wg_params_grad_valid): optimizers refuse the step until wg_zero_grad. */
WG_API wg_status wg_backward(wg_tensor loss);
/* The same for the n given parameters only; with none of them (n == 0) it is the same error. */
WG_API wg_status wg_backward_into(wg_tensor loss, wg_param *const *params, size_t n);

/* Called by wg_backward when the gradient of a parameter is final, once for each parameter, while other gradients are
 * still computed: to send it to another machine, to record its norm. `gradient` is its memory, as of wg_param_grad; it
 * may be changed. The order is that in which the backward pass ends with them, about the reverse of the forward pass,
 * and the same for any number of threads. A gradient that was not zero before is added to when the run ends, and given
 * then. The run may still fail after the call; the gradients then are invalid, as wg_backward says. The callback is
 * called on the thread that called wg_backward, while threads of the pool go on; on the tape it must not call anything,
 * which is refused as in wg_error_callback. NULL ends it. */
typedef void (*wg_gradient_callback)(void *context, wg_param *param, void *gradient);
WG_API void wg_tape_on_gradient(wg_tape *tape, wg_gradient_callback callback, void *context);
/* The callback that is set, or NULL, and its context, unless that argument is NULL: for code that sets another one for
 * a while. */
WG_API wg_gradient_callback wg_tape_gradient_callback(const wg_tape *tape, void **context);

/* Additional bytes that wg_backward(loss) would take, without running it. Adding to gradients that exist already takes
 * extra memory. Returns 0 on error. */
WG_API size_t wg_backward_bytes(wg_tensor loss);

/* Records gradients as tensors: dx[i] = (dy/dx[i])^T dy, of the shape of x[i], i < n. y may have any shape; dy has the
 * shape of y, or is WG_NONE for ones. dx[i] is zeros if y does not depend on x[i]; nil on error. */
WG_API void wg_grad(wg_tensor y, const wg_tensor *x, int n, wg_tensor dy, wg_tensor *dx);
/* The same for one x; returns dx. */
WG_API wg_tensor wg_grad1(wg_tensor y, wg_tensor x, wg_tensor dy);

/* Products with the Jacobian J = dy/dx: vjp = J^T u, u of the shape of y; jvp = J v, v of the shape of x. */
WG_API wg_tensor wg_vjp(wg_tensor y, wg_tensor x, wg_tensor u);
WG_API wg_tensor wg_jvp(wg_tensor y, wg_tensor x, wg_tensor v);
/* H v, v of the shape of x, where H is the Hessian of the scalar y with respect to x. */
WG_API wg_tensor wg_hvp(wg_tensor y, wg_tensor x, wg_tensor v);
/* The full Jacobian, shape [numel(y), numel(x)]. Takes one reverse sweep per row: for small y. */
WG_API wg_tensor wg_jacobian(wg_tensor y, wg_tensor x);
/* The full Hessian of the scalar y, shape [numel(x), numel(x)]. Takes one reverse sweep per row. */
WG_API wg_tensor wg_hessian(wg_tensor y, wg_tensor x);

#ifdef __cplusplus
}
#endif
#endif
