/* Internal. Convolutions, what op and kernel share: the attribute, and the geometry that follows from it. */
#ifndef WG_KERNELS_CONV_H
#define WG_KERNELS_CONV_H

#include "../../autograd/exec.h"

enum { WG__CONV_AXES = 3 }; /* spatial axes, at most */

typedef struct wg__conv_attr {
    int64_t groups;
    int64_t stride[WG__CONV_AXES], dilation[WG__CONV_AXES];
    int64_t size[WG__CONV_AXES]; /* conv_weight, conv_input: of the result */
} wg__conv_attr;

/* in0 in a frame of zeros: along the i-th of the last `axes` axes it stands at low[i] of size[i]. */
typedef struct wg__frame_attr {
    int64_t axes;
    int64_t low[WG__CONV_AXES], size[WG__CONV_AXES];
} wg__frame_attr;

/* y[n, o, p] = sum over c, k of w[o, c, k] x[n, c, p stride + k dilation]: in0 x, in1 w. */
void wg__conv_kernel(const wg_args *args, int64_t task);
int64_t wg__conv_tasks(const wg_args *args);
size_t wg__conv_scratch(const wg_args *args);

/* dx[n, c, p stride + k dilation] += sum over o of w[o, c, k] dy[n, o, p], from zero: in0 dy, in1 w. */
void wg__conv_input_kernel(const wg_args *args, int64_t task);
int64_t wg__conv_input_tasks(const wg_args *args);
size_t wg__conv_input_scratch(const wg_args *args);

/* dw[o, c, k] = sum over n, p of dy[n, o, p] x[n, c, p stride + k dilation]: in0 dy, in1 x. */
void wg__conv_weight_kernel(const wg_args *args, int64_t task);
int64_t wg__conv_weight_tasks(const wg_args *args);
size_t wg__conv_weight_scratch(const wg_args *args);

void wg__frame_kernel(const wg_args *args, int64_t task);
int64_t wg__frame_tasks(const wg_args *args);

#endif
