/* The geometry of a convolution, and the tables of offsets of its taps and outputs (conv.h). By shapes alone. */
#include "conv.h"

static wg__conv describe(const wg_args *args, wg_operand x, wg_operand w, wg_operand y)
{
    const wg__conv_attr *attr = args->attr;
    wg__conv c = {.x = x,
                  .w = w,
                  .y = y,
                  .attr = attr,
                  .bf16 = args->bf16 && x.dtype == WG_F32 && !attr->never_bf16,
                  .axes = x.rank - 2,
                  .taps = 1,
                  .outputs = 1};
    wg__padding f = {.plane = 1, .padded_plane = 1};
    c.images = x.size[0];
    c.in_channels = w.size[1];
    c.out_channels = w.size[0] / attr->groups;
    for (int i = WG__CONV_AXES - 1; i >= 0; i--) {
        int axis = i - WG__CONV_AXES + c.axes;
        f.size[i] = axis < 0 ? 1 : x.size[2 + axis];
        f.before[i] = axis < 0 ? 0 : attr->before[axis];
        f.padded[i] = f.size[i] + f.before[i] + (axis < 0 ? 0 : attr->after[axis]);
        f.stride[i] = f.padded_plane;
        f.plane *= f.size[i];
        f.padded_plane *= f.padded[i];
        c.taps *= axis < 0 ? 1 : w.size[2 + axis];
        c.outputs *= axis < 0 ? 1 : y.size[2 + axis];
    }
    c.padding = f;
    return c;
}

wg__conv wg__conv_of(const wg_args *args) { return describe(args, args->in[0], args->in[1], args->out); }
wg__conv wg__conv_weight_of(const wg_args *args) { return describe(args, args->in[1], args->out, args->in[0]); }
wg__conv wg__conv_input_of(const wg_args *args) { return describe(args, args->out, args->in[1], args->in[0]); }

void wg__offsets(int64_t *to, int64_t first, int axes, const int64_t *size, const int64_t *step)
{
    int64_t n = 1;
    to[0] = first;
    for (int a = axes - 1; a >= 0; a--) { /* repeats the block so far for each further index */
        for (int64_t i = 1; i < size[a]; i++)
            for (int64_t j = 0; j < n; j++) to[i * n + j] = to[j] + i * step[a];
        n *= size[a];
    }
}

void wg__conv_output_offsets(const wg__conv *c, int64_t *to)
{
    int64_t step[WG__CONV_AXES];
    const int64_t *space = c->padding.stride + WG__CONV_AXES - c->axes;
    for (int i = 0; i < c->axes; i++) step[i] = c->attr->stride[i] * space[i];
    wg__offsets(to, 0, c->axes, c->y.size + 2, step);
}

void wg__conv_tap_offsets(const wg__conv *c, int64_t *to)
{
    int64_t step[1 + WG__CONV_AXES] = {c->padding.padded_plane};
    const int64_t *space = c->padding.stride + WG__CONV_AXES - c->axes;
    for (int i = 0; i < c->axes; i++) step[1 + i] = c->attr->dilation[i] * space[i];
    wg__offsets(to, 0, 1 + c->axes, c->w.size + 1, step);
}
