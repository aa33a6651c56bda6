/* Constants and ranges. */
#include "writer.h"

#include "../../autograd/tape/exec.h"
#include "../../ops/kernels/random/random.h"

static const char *fill(wg__out *o)
{
    const wg__fill_attr *attr = o->at.attr, *twin = o->twin.attr;
    if (!(attr->value == twin->value || (attr->value != attr->value && twin->value != twin->value)))
        wg__out_fail(o, WG_ERR_SHAPE, "a constant depends on the batch size: %g and %g", attr->value, twin->value);
    const char *value = wg__number(o, attr->dtype, attr->value);
    if (attr->shape.rank == 0) return value;
    return wg__out_node2(o, "Expand", value, wg__sizes(o, &o->at.shape, &o->twin.shape));
}

static void range(const wg__arange_attr *attr, void *out)
{
    for (int64_t i = 0; i < attr->n; i++) {
        const double number = attr->start + (double)i * attr->step;
        switch ((wg_dtype)attr->dtype) {
        case WG_F32: ((float *)out)[i] = (float)number; break;
        case WG_F64: ((double *)out)[i] = number; break;
        default: ((int32_t *)out)[i] = (int32_t)number; break;
        }
    }
}

static const char *arange(wg__out *o)
{
    const wg__arange_attr *attr = o->at.attr;
    void *numbers = wg__out_room(o, attr->n, wg_dtype_size(o->at.dtype));
    if (!numbers) return "";
    range(attr, numbers);
    return wg__constant_of(o, o->at.dtype, &o->at.shape, numbers);
}

const wg__row wg__out_make[] = {
    {"arange", "Constant", arange},
    {"fill", "Expand", fill, .sizes = true},
    {NULL},
};
