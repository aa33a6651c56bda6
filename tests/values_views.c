/* Views, joining and cutting, against coordinates: random shapes, axes and strides. */
#include "values_tests.h"

static array x, y, want;

/* ---- views, joining, cutting ---- */

void permuted(void)
{
    fill_random(&x, random_shape(1, 5, 0));
    int order[8], rank = x.shape.rank;
    for (int i = 0; i < rank; i++) order[i] = i;
    for (int i = rank - 1; i > 0; i--) {
        int j = (int)draw((uint32_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    wg_shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) shape.size[i] = x.shape.size[order[i]];
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) {
        int64_t to[8], from[8];
        place(&shape, i, to);
        for (int d = 0; d < rank; d++) from[order[d]] = to[d];
        want.x[i] = x.x[offset(&x.shape, from)];
    }
    wg_tensor t = strided(&x);
    expect_values("permute", wg_permute(t, wg_axes_of(rank, order)), &want);
    int a = (int)draw((uint32_t)rank), b = (int)draw((uint32_t)rank);
    shape = x.shape;
    shape.size[a] = x.shape.size[b];
    shape.size[b] = x.shape.size[a];
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) {
        int64_t at[8], swap;
        place(&shape, i, at);
        swap = at[a], at[a] = at[b], at[b] = swap;
        want.x[i] = x.x[offset(&x.shape, at)];
    }
    expect_values("transpose", wg_transpose(t, a, b - rank), &want);
    bool last = a != b && a >= rank - 2 && b >= rank - 2;
    if (last) expect_values("t", wg_t(t), &want);
}

void sliced(void)
{
    fill_random(&x, random_shape(1, 4, 1));
    int axis = (int)draw((uint32_t)x.shape.rank);
    int64_t size = x.shape.size[axis], start = draw((uint32_t)size + 1);
    int64_t stop = start + draw((uint32_t)(size - start) + 1), step = 1 + draw(3);
    bool flipped = draw(2);
    wg_shape shape = x.shape;
    shape.size[axis] = (stop - start + step - 1) / step;
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) {
        int64_t at[8];
        place(&shape, i, at);
        at[axis] = start + at[axis] * step;
        if (flipped) at[axis] = size - 1 - at[axis];
        want.x[i] = x.x[offset(&x.shape, at)];
    }
    wg_tensor from = strided(&x);
    if (flipped) from = wg_flip(from, axis - x.shape.rank);
    expect_values("slice", wg_slice_step(from, axis, start, stop, step), &want);
}

void expanded(void)
{
    wg_shape shape = random_shape(1, 4, 0), from = shape;
    from.rank -= (int)draw((uint32_t)shape.rank);
    for (int i = 0; i < shape.rank; i++) from.size[i] = 0;
    for (int i = 0; i < from.rank; i++) from.size[i] = draw(2) ? 1 : shape.size[i + shape.rank - from.rank];
    fill_random(&x, from);
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) {
        int64_t at[8], in[8];
        place(&shape, i, at);
        for (int d = 0; d < from.rank; d++) in[d] = from.size[d] == 1 ? 0 : at[d + shape.rank - from.rank];
        want.x[i] = x.x[offset(&from, in)];
    }
    wg_tensor got = wg_expand(strided(&x), shape);
    expect_values("expand", got, &want);
    expect_values("expand, then copied", wg_reshape(wg_add_scalar(got, 0), shape), &want);
    shape_set(&want, WG_DIMS(want.n));
    expect_values("expand, then reshape", wg_reshape(got, WG_DIMS(-1)), &want);
}

void joined(void)
{
    wg_shape shape = random_shape(1, 4, 0), part[3], whole;
    int axis = (int)draw((uint32_t)shape.rank);
    wg_tensor tensors[3];
    int64_t at[8], total = 0, begin[4] = {0};
    static array in[3];
    for (int k = 0; k < 3; k++) {
        part[k] = shape;
        part[k].size[axis] = draw(4);
        fill_random(&in[k], part[k]);
        tensors[k] = strided(&in[k]);
        total += part[k].size[axis];
        begin[k + 1] = total;
    }
    whole = shape;
    whole.size[axis] = total;
    shape_set(&want, whole);
    for (int64_t i = 0; i < want.n; i++) {
        place(&whole, i, at);
        int k = at[axis] < begin[1] ? 0 : at[axis] < begin[2] ? 1 : 2;
        at[axis] -= begin[k];
        want.x[i] = in[k].x[offset(&part[k], at)];
    }
    wg_tensor all = wg_concat(tensors, 3, axis), back[3];
    expect_values("concat", all, &want);
    int64_t sizes[3] = {part[0].size[axis], part[1].size[axis], part[2].size[axis]};
    wg_split_sizes(all, axis, 3, sizes, back);
    for (int k = 0; k < 3; k++) expect_values("split_sizes", back[k], &in[k]);
    tensors[1] = tensors[2] = tensors[0];
    wg_split(wg_concat(tensors, 3, axis), axis, 3, back);
    for (int k = 0; k < 3; k++) expect_values("split", back[k], &in[0]);
}

void stacked_and_padded(void)
{
    fill_random(&x, random_shape(0, 4, 0));
    fill_random(&y, x.shape);
    int axis = (int)draw((uint32_t)x.shape.rank + 1);
    wg_shape shape = {.rank = x.shape.rank + 1};
    for (int i = 0; i < shape.rank; i++)
        shape.size[i] = i < axis ? x.shape.size[i] : i > axis ? x.shape.size[i - 1] : 2;
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) {
        int64_t at[8], in[8];
        place(&shape, i, at);
        for (int d = 0; d < x.shape.rank; d++) in[d] = at[d < axis ? d : d + 1];
        want.x[i] = at[axis] ? y.x[offset(&x.shape, in)] : x.x[offset(&x.shape, in)];
    }
    wg_tensor both[2] = {strided(&x), strided(&y)};
    expect_values("stack", wg_stack(both, 2, axis), &want);

    if (x.shape.rank == 0) return;
    int along = (int)draw((uint32_t)x.shape.rank);
    int64_t before = draw(3), after = draw(3);
    shape = x.shape;
    shape.size[along] += before + after;
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) {
        int64_t at[8];
        place(&shape, i, at);
        at[along] -= before;
        bool inside = at[along] >= 0 && at[along] < x.shape.size[along];
        want.x[i] = inside ? x.x[offset(&x.shape, at)] : -3.5;
    }
    expect_values("pad_value", wg_pad_value(both[0], along, before, after, -3.5), &want);
    for (int64_t i = 0; i < want.n; i++) want.x[i] = want.x[i] == -3.5 ? 0 : want.x[i];
    expect_values("pad", wg_pad(both[0], along, before, after), &want);
}

/* The same numbers under another shape. */
void reshaped(void)
{
    fill_random(&x, random_shape(1, 4, 1));
    want = x;
    wg_tensor t = strided(&x);
    int rank = x.shape.rank, axis = (int)draw((uint32_t)rank), last = axis + (int)draw((uint32_t)(rank - axis));
    want.shape = (wg_shape){0};
    for (int d = 0; d < rank; d++) {
        if (d > axis && d <= last)
            want.shape.size[want.shape.rank - 1] *= x.shape.size[d];
        else
            want.shape.size[want.shape.rank++] = x.shape.size[d];
    }
    expect_values("flatten", wg_flatten(t, axis - rank, last), &want);
    want.shape = (wg_shape){.rank = rank + 1};
    for (int d = 0; d <= rank; d++)
        want.shape.size[d] = d < axis ? x.shape.size[d] : d > axis ? x.shape.size[d - 1] : 1;
    wg_tensor more = wg_unsqueeze(t, axis);
    expect_values("unsqueeze", more, &want);
    expect_values("squeeze", wg_squeeze(more, axis - rank - 1), &x);
    wg_shape guess = x.shape;
    guess.size[axis] = -1;
    expect_values("reshape with -1", wg_reshape(wg_reshape(t, WG_DIMS(-1)), guess), &x);
    int64_t index = draw((uint32_t)x.shape.size[axis]);
    shape_set(&y, wg_shape_get(wg_select(t, axis, 0)));
    want.shape = x.shape;
    want.shape.size[axis] = 1;
    for (int64_t i = 0; i < y.n; i++) {
        int64_t at[8];
        place(&want.shape, i, at);
        at[axis] = index;
        y.x[i] = x.x[offset(&x.shape, at)];
    }
    assert_int_equal(y.shape.rank, rank - 1);
    expect_values("select", wg_select(t, axis, index - x.shape.size[axis]), &y);
}
