/* Losses. Cross-entropy on integer labels is an op for the loss of each row, with a gradient op of its own; the others
 * are compositions. */
#include "composed.h"

#include <string.h>

#include "kernels/reduce/reduce.h"
#include "kernels/kernels.h"

typedef wg__cross_entropy_attr attributes;

/* ---- shape rules --------------------------------------------------------------------------------------- */

/* Checks labels[...] and the optional weights[classes], operand `weights`, against the attributes. */
static wg_status check_labels(wg_infer *c, int labels, int weights, wg_dtype dtype)
{
    const attributes *attr = c->attr;
    if (c->dtype_in[labels] != WG_I32)
        return wg_infer_fail(c, WG_ERR_DTYPE, "labels are %s: must be i32", wg_dtype_name(c->dtype_in[labels]));
    if (weights >= c->n_in || c->in[weights].rank < 0) return WG_OK;
    if (c->dtype_in[weights] != dtype)
        return wg_infer_fail(c, WG_ERR_DTYPE, "class weights are %s, logits %s",
                             wg_dtype_name(c->dtype_in[weights]), wg_dtype_name(dtype));
    if (c->in[weights].rank != 1 || c->in[weights].size[0] != attr->classes)
        return wg_infer_fail(c, WG_ERR_SHAPE, "class weights must be [%lld], one per class",
                             (long long)attr->classes);
    return WG_OK;
}

/* logits[..., classes] and labels[...] */
static wg_status check_logits(wg_infer *c)
{
    wg_shape rows = c->in[0];
    wg_status status = wg__infer_float(c, 0);
    if (status) return status;
    if (rows.rank == 0) return wg_infer_fail(c, WG_ERR_SHAPE, "logits must have an axis of classes, the last");
    rows.size[--rows.rank] = 0;
    if (!wg_shape_equal(&rows, &c->in[1]))
        return wg_infer_fail(c, WG_ERR_SHAPE,
                             "labels must have the shape of the logits without the last axis, the classes");
    return WG_OK;
}

static wg_status infer_loss(wg_infer *c)
{
    wg_status status = check_logits(c);
    c->out = c->in[1];
    return status ? status : check_labels(c, 1, 2, c->dtype_in[0]);
}

static wg_status infer_loss_grad(wg_infer *c)
{
    wg_status status = check_logits(c);
    c->out = c->in[0];
    if (status) return status;
    if (!wg_shape_equal(&c->in[1], &c->in[2]) || c->dtype_in[2] != c->dtype_in[0])
        return wg_infer_fail(c, WG_ERR_SHAPE,
                             "the gradient must have the shape of the labels and the dtype of the logits");
    return check_labels(c, 1, 3, c->dtype_in[0]);
}

static wg_status infer_target_weight(wg_infer *c)
{
    c->dtype = (wg_dtype)((const attributes *)c->attr)->dtype;
    c->out = c->in[0];
    return check_labels(c, 0, 1, c->dtype);
}

static wg_status infer_label_scale(wg_infer *c)
{
    c->dtype = (wg_dtype)((const attributes *)c->attr)->dtype;
    c->out = WG_SCALAR;
    return check_labels(c, 0, 1, c->dtype);
}

static int64_t row_tasks(const wg_args *args) { return wg__reduce_tasks(wg__extents_of_rows(&args->in[0])); }
static int64_t label_tasks(const wg_args *args) { return wg__reduce_tasks((wg__extents){args->out.numel, 1, 1}); }

/* ---- the ops ------------------------------------------------------------------------------------------- */

WG__SELECT(loss_select, wg__kernel_get(WG__KERNEL_cross_entropy, out))
WG__SELECT(loss_grad_select, wg__kernel_get(WG__KERNEL_cross_entropy_grad, out))
WG__SELECT(target_weight_select, wg__kernel_get(WG__KERNEL_target_weight, out))
WG__SELECT(label_scale_select, wg__kernel_get(WG__KERNEL_label_scale, out))

/* Class weights are constants of the loss; their gradient would silently be zero. */
static wg_tensor no_weights_vjp(const wg_vjp_args *v, int k)
{
    return wg_fail(v->grad, WG_ERR_GRADIENT, v->op->name, "has no gradient by the class weights: wg_detach them");
}

/* Operands labels, weights: the sum of each row's target, 0 if the label is ignored. */
static const wg_op target_weight = {.struct_size = sizeof(wg_op),
                                    .name = "target_weight",
                                    .min_in = 1,
                                    .max_in = 2,
                                    .infer = infer_target_weight,
                                    .vjp = no_weights_vjp,
                                    .select = target_weight_select,
                                    .tasks = label_tasks};

/* Operands labels, weights: the factor from the sum of the rows to their mean. */
static const wg_op label_scale = {.struct_size = sizeof(wg_op),
                                  .name = "label_scale",
                                  .min_in = 1,
                                  .max_in = 2,
                                  .infer = infer_label_scale,
                                  .vjp = no_weights_vjp,
                                  .select = label_scale_select};

static wg_tensor loss_grad_vjp(const wg_vjp_args *v, int k);

/* Operands logits, labels, g, weights: g (softmax sum(target) - target). */
static const wg_op loss_grad = {.struct_size = sizeof(wg_op),
                                .name = "cross_entropy_grad",
                                .min_in = 3,
                                .max_in = 4,
                                .flags = WG_OP_CHECKS_INDEX | WG_OP_SMOOTH,
                                .infer = infer_loss_grad,
                                .vjp = loss_grad_vjp,
                                .select = loss_grad_select,
                                .tasks = row_tasks};

/* With c the incoming gradient. By g: sum c (softmax sum(target) - target). By the logits, with p their softmax:
 * g sum(target) p (c - sum c p), which is the gradient of a softmax. */
static wg_tensor loss_grad_vjp(const wg_vjp_args *v, int k)
{
    attributes attr = *(const attributes *)v->attr;
    wg_tensor logits = v->in[0], labels = v->in[1], g = v->in[2], weights = v->in[3], c = v->grad;
    if (k == 3) return no_weights_vjp(v, k);
    if (k == 2) {
        wg_tensor unit[] = {logits, labels, wg_ones_like(g), weights};
        return wg_sum(wg_mul(c, wg_record(&loss_grad, unit, 4, &attr, sizeof attr)), WG_AXES(-1), false);
    }
    wg_tensor total = wg_record(&target_weight, (wg_tensor[]){labels, weights}, 2, &attr, sizeof attr);
    wg_tensor y = wg_softmax(logits, -1), factor = wg_unsqueeze(wg_mul(g, total), -1);
    wg_tensor row = wg_mul(y, wg_sub(c, wg_sum(wg_mul(c, y), WG_AXES(-1), true)));
    /* An ignored row may contain anything, even NaN. */
    wg_tensor zero = wg__constant(g, 0), counts = wg_not_equal(wg_unsqueeze(total, -1), zero);
    return wg_where(counts, wg_mul(factor, row), zero);
}

static wg_tensor loss_vjp(const wg_vjp_args *v, int k)
{
    attributes attr = *(const attributes *)v->attr;
    if (k == 2) return no_weights_vjp(v, k);
    return wg_record(&loss_grad, (wg_tensor[]){v->in[0], v->in[1], v->grad, v->in[2]}, 4, &attr, sizeof attr);
}

static const wg_op loss = {.struct_size = sizeof(wg_op),
                           .name = "cross_entropy",
                           .min_in = 2,
                           .max_in = 3,
                           .flags = WG_OP_CHECKS_INDEX | WG_OP_SMOOTH,
                           .infer = infer_loss,
                           .vjp = loss_vjp,
                           .select = loss_select,
                           .tasks = row_tasks};

const wg_op *const wg__loss_ops[] = {&loss, &loss_grad, &target_weight, &label_scale, NULL};

/* ---- cross-entropy ------------------------------------------------------------------------------------- */

bool wg__is_reduction(wg_tensor x, wg_reduction reduction, const char *op)
{
    if ((unsigned)reduction <= WG_REDUCE_NONE) return true;
    wg_fail(x, WG_ERR_ARGUMENT, op, "unknown reduction %d", (int)reduction);
    return false;
}

wg_tensor wg__reduced(wg_tensor x, wg_reduction reduction)
{
    if (reduction == WG_REDUCE_NONE) return x;
    return reduction == WG_MEAN && wg_numel(x) > 0 ? wg_mean_all(x) : wg_sum_all(x);
}

wg_cross_entropy_options wg_cross_entropy_defaults(void)
{
    return (wg_cross_entropy_options){.ignore_index = -100, .reduction = WG_MEAN};
}

/* labels i32 [...] */
static wg_tensor by_index(wg_tensor logits, wg_tensor labels, const wg_cross_entropy_options *o, int64_t classes)
{
    attributes attr = {.ignore_index = o->ignore_index, .classes = classes, .smoothing = o->label_smoothing};
    attr.dtype = (int32_t)wg_dtype_get(logits);
    wg_tensor rows = wg_record(&loss, (wg_tensor[]){logits, labels, o->class_weights}, 3, &attr, sizeof attr);
    if (o->reduction != WG_MEAN) return wg__reduced(rows, o->reduction);
    attr.smoothing = 0;
    wg_tensor scale = wg_record(&label_scale, (wg_tensor[]){labels, o->class_weights}, 2, &attr, sizeof attr);
    return wg_mul(wg_sum_all(rows), scale);
}

/* labels [..., classes]: probabilities, of the logits' shape */
static wg_tensor by_probability(wg_tensor logits, wg_tensor labels, const wg_cross_entropy_options *o,
                                int64_t classes)
{
    wg_tensor target = labels;
    if (o->label_smoothing > 0) {
        target = wg_add(wg_mul(labels, wg__constant(labels, 1 - o->label_smoothing)),
                        wg__constant(labels, o->label_smoothing / (double)classes));
    }
    if (o->class_weights.tape) target = wg_mul(target, o->class_weights);
    wg_tensor each = wg_mul(target, wg_log_softmax(logits, -1));
    return wg__reduced(wg_neg(wg_sum(each, WG_AXES(-1), false)), o->reduction);
}

wg_tensor wg_cross_entropy_with(wg_tensor logits, wg_tensor labels, wg_cross_entropy_options options)
{
    static const char *const name = "cross_entropy";
    wg_shape shape, target, weights;
    char a[128], b[128];
    if (!logits.tape) return wg_fail(labels, WG_ERR_ARGUMENT, name, "operand 1, the logits, was never set");
    if (!wg__shape(logits, &shape, name)) return wg__nil_of(logits);
    if (!labels.tape) return wg_fail(logits, WG_ERR_ARGUMENT, name, "operand 2, the labels, was never set");
    if (!wg__shape(labels, &target, name)) return wg__nil_of(logits);
    if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
        return wg_fail(logits, WG_ERR_ARGUMENT, name, "label_smoothing = %g is not in [0, 1]",
                       options.label_smoothing);
    if (!wg__is_reduction(logits, options.reduction, name)) return wg__nil_of(logits);
    wg_shape_text(&shape, a, sizeof a);
    wg_shape_text(&target, b, sizeof b);
    if (shape.rank == 0 || shape.size[shape.rank - 1] == 0)
        return wg_fail(logits, WG_ERR_SHAPE, name, "%s, %s: logits must have classes along the last axis", a, b);
    int64_t classes = shape.size[shape.rank - 1];
    wg_dtype dtype = wg_dtype_get(labels);
    if (!wg_dtype_is_float(dtype)) return by_index(logits, labels, &options, classes);
    if (!wg_shape_equal(&shape, &target))
        return wg_fail(
            logits, WG_ERR_SHAPE, name,
            "%s, %s: %s labels are probabilities and must have the shape of the logits (indices are i32)", a, b,
            wg_dtype_name(dtype));
    if (!wg__both_float(logits, labels, name)) return wg__nil_of(logits);
    if (options.class_weights.tape) {
        if (!wg__shape(options.class_weights, &weights, name)) return wg__nil_of(logits);
        if (weights.rank != 1 || weights.size[0] != classes)
            return wg_fail(logits, WG_ERR_SHAPE, name, "%s, %s: class weights %s must be [%lld], one per class", a,
                           b, wg_shape_text(&weights, (char[128]){0}, 128), (long long)classes);
        if (!wg__both_float(logits, options.class_weights, name)) return wg__nil_of(logits);
    }
    return by_probability(logits, labels, &options, classes);
}

wg_tensor wg_cross_entropy(wg_tensor logits, wg_tensor labels)
{
    return wg_cross_entropy_with(logits, labels, wg_cross_entropy_defaults());
}

wg_tensor wg_cross_entropy_lengths(wg_tensor logits, wg_tensor labels, wg_tensor lengths)
{
    static const char *const name = "cross_entropy_lengths";
    wg_shape shape, target;
    char a[128], b[128];
    if (!logits.tape) return wg_fail(labels, WG_ERR_ARGUMENT, name, "operand 1, the logits, was never set");
    if (!wg__shape(logits, &shape, name)) return wg__nil_of(logits);
    if (!labels.tape || !lengths.tape)
        return wg_fail(logits, WG_ERR_ARGUMENT, name, "operand %d was never set", labels.tape ? 3 : 2);
    if (!wg__shape(labels, &target, name)) return wg__nil_of(logits);
    if (shape.rank != 3 || target.rank != 2 || wg_dtype_get(labels) != WG_I32)
        return wg_fail(logits, WG_ERR_SHAPE, name,
                       "%s, %s %s: logits must be [batch, time, classes], labels i32 [batch, time]",
                       wg_shape_text(&shape, a, sizeof a), wg_shape_text(&target, b, sizeof b),
                       wg_dtype_name(wg_dtype_get(labels)));
    wg_cross_entropy_options options = wg_cross_entropy_defaults();
    wg_tensor mask = wg_length_mask(lengths, target.size[1]);
    wg_tensor counted = wg_where(mask, labels, wg__constant(labels, (double)options.ignore_index));
    return wg_cross_entropy_with(logits, counted, options);
}

/* ---- the other losses ---------------------------------------------------------------------------------- */

/* Requires equal shapes: with a target broadcast along the wrong axis a model would still train. */
static bool same_shape(wg_tensor x, wg_tensor target, wg_reduction reduction, const char *op)
{
    wg_shape a, b;
    char text_a[128], text_b[128];
    if (!x.tape) return wg_fail(target, WG_ERR_ARGUMENT, op, "operand 1 was never set"), false;
    if (!wg__shape(x, &a, op)) return false;
    if (!target.tape) return wg_fail(x, WG_ERR_ARGUMENT, op, "operand 2, the target, was never set"), false;
    if (!wg__shape(target, &b, op)) return false;
    if (!wg__is_reduction(x, reduction, op)) return false;
    if (wg_shape_equal(&a, &b)) return wg__both_float(x, target, op);
    wg_fail(x, WG_ERR_SHAPE, op, "%s, %s: x and target must have equal shapes (see wg_expand)",
            wg_shape_text(&a, text_a, sizeof text_a), wg_shape_text(&b, text_b, sizeof text_b));
    return false;
}

/* log-probabilities p[..., classes] and labels i32 [...] */
static bool are_log_probabilities(wg_tensor p, wg_tensor labels, const char *op)
{
    wg_shape rows, target;
    char a[128], b[128];
    if (!p.tape)
        return wg_fail(labels, WG_ERR_ARGUMENT, op, "operand 1, the log-probabilities, was never set"), false;
    if (!wg__shape(p, &rows, op)) return false;
    if (!labels.tape) return wg_fail(p, WG_ERR_ARGUMENT, op, "operand 2, the labels, was never set"), false;
    if (!wg__shape(labels, &target, op)) return false;
    wg_shape_text(&rows, a, sizeof a);
    const bool scalar = rows.rank == 0;
    if (!scalar) rows.size[--rows.rank] = 0;
    if (!scalar && wg_shape_equal(&rows, &target) && wg_dtype_get(labels) == WG_I32) return wg__float(p, op);
    wg_fail(p, WG_ERR_SHAPE, op, "%s, %s %s: log-probabilities must be [..., classes], labels i32 [...]", a,
            wg_shape_text(&target, b, sizeof b), wg_dtype_name(wg_dtype_get(labels)));
    return false;
}

/* -p[label] of each row */
static wg_tensor chosen(wg_tensor p, wg_tensor labels)
{
    return wg_neg(wg_squeeze(wg_gather(p, -1, wg_unsqueeze(labels, -1)), -1));
}

wg_tensor wg_nll(wg_tensor log_probabilities, wg_tensor labels, wg_reduction reduction)
{
    if (!are_log_probabilities(log_probabilities, labels, "nll") ||
        !wg__is_reduction(log_probabilities, reduction, "nll"))
        return wg__nil_of(log_probabilities);
    return wg__reduced(chosen(log_probabilities, labels), reduction);
}

/* An ignored row reads class 0, with the weight 0. */
wg_tensor wg_nll_with(wg_tensor log_probabilities, wg_tensor labels, wg_cross_entropy_options options)
{
    static const char *const op = "nll";
    wg_tensor p = log_probabilities;
    if (!are_log_probabilities(p, labels, op) || !wg__is_reduction(p, options.reduction, op)) return wg__nil_of(p);
    if (options.label_smoothing != 0)
        return wg_fail(p, WG_ERR_ARGUMENT, op, "label_smoothing = %g: only cross_entropy smooths labels",
                       options.label_smoothing);
    attributes attr = {.ignore_index = options.ignore_index, .classes = wg_size(p, -1)};
    attr.dtype = (int32_t)wg_dtype_get(p);
    if (attr.classes == 0) return wg__refuse(p, WG_ERR_SHAPE, op, "there are no classes");
    wg_tensor by[] = {labels, options.class_weights};
    wg_tensor weight = wg_record(&target_weight, by, 2, &attr, sizeof attr), zero = wg__constant(p, 0);
    if (options.ignore_index >= INT32_MIN && options.ignore_index <= INT32_MAX) {
        wg_tensor ignored = wg_equal(labels, wg__constant(labels, (double)options.ignore_index));
        labels = wg_where(ignored, wg__constant(labels, 0), labels);
    }
    wg_tensor counts = wg_not_equal(weight, zero);
    wg_tensor rows = wg_where(counts, wg_mul(weight, wg_where(counts, chosen(p, labels), zero)), zero);
    if (options.reduction != WG_MEAN) return wg__reduced(rows, options.reduction);
    return wg_mul(wg_sum_all(rows), wg_record(&label_scale, by, 2, &attr, sizeof attr));
}

wg_tensor wg_mse(wg_tensor x, wg_tensor target, wg_reduction reduction)
{
    if (!same_shape(x, target, reduction, "mse")) return wg__nil_of(x);
    return wg__reduced(wg_square(wg_sub(x, target)), reduction);
}

/* With e = x - target and q = e clipped to [-delta, delta]: q (e - q / 2), whose second derivative at 0 is 1. */
wg_tensor wg_huber(wg_tensor x, wg_tensor target, double delta, wg_reduction reduction)
{
    if (!same_shape(x, target, reduction, "huber")) return wg__nil_of(x);
    if (!(delta > 0)) return wg_fail(x, WG_ERR_ARGUMENT, "huber", "delta = %g: must be more than 0", delta);
    wg_tensor e = wg_sub(x, target);
    wg_tensor q = wg_maximum(wg_minimum(e, wg__constant(x, delta)), wg__constant(x, -delta));
    return wg__reduced(wg_mul(q, wg_sub(e, wg_mul(q, wg__constant(x, 0.5)))), reduction);
}

/* -yes ln sigmoid(z) - (1 - target) ln(1 - sigmoid(z)), z the logits. Each term is small where the prediction is right,
 * so nothing cancels. */
static wg_tensor by_logits(wg_tensor logits, wg_tensor yes, wg_tensor target, wg_reduction reduction)
{
    wg_tensor no = wg_sub(wg__constant(target, 1), target);
    return wg__reduced(wg_add(wg_mul(yes, wg_softplus(wg_neg(logits))), wg_mul(no, wg_softplus(logits))),
                       reduction);
}

wg_tensor wg_binary_cross_entropy(wg_tensor logits, wg_tensor target, wg_reduction reduction)
{
    if (!same_shape(logits, target, reduction, "binary_cross_entropy")) return wg__nil_of(logits);
    return by_logits(logits, target, target, reduction);
}

wg_tensor wg_binary_cross_entropy_weighted(wg_tensor logits, wg_tensor target, wg_tensor positive_weight,
                                           wg_reduction reduction)
{
    static const char *const op = "binary_cross_entropy_weighted";
    if (!same_shape(logits, target, reduction, op)) return wg__nil_of(logits);
    const wg_shape shape = wg_shape_get(logits);
    if (!wg__both_set(logits, positive_weight, op) || !wg__both_float(logits, positive_weight, op) ||
        !wg__broadcasts_to(positive_weight, &shape, "positive_weight", op))
        return wg__nil_of(logits);
    return by_logits(logits, wg_mul(target, positive_weight), target, reduction);
}

wg_tensor wg_binary_cross_entropy_probabilities(wg_tensor p, wg_tensor target, wg_reduction reduction)
{
    if (!same_shape(p, target, reduction, "binary_cross_entropy_probabilities")) return wg__nil_of(p);
    wg_tensor zero = wg__constant(p, 0), one = wg__constant(p, 1), least = wg__constant(p, -100);
    wg_tensor none = wg_equal(p, zero), all = wg_equal(p, one); /* whose logarithms would be infinite */
    wg_tensor log_p = wg_where(none, least, wg_log(wg_where(none, one, p)));
    wg_tensor log_rest = wg_where(all, least, wg_log1p(wg_neg(wg_where(all, zero, p))));
    wg_tensor yes = wg_maximum(log_p, least), no = wg_maximum(log_rest, least);
    return wg__reduced(wg_neg(wg_add(wg_mul(target, yes), wg_mul(wg_sub(one, target), no))), reduction);
}

/* Where t is 0, neither ln t nor log_q is used, so that no inf enters the value or the gradient. */
wg_tensor wg_kl(wg_tensor log_q, wg_tensor target, wg_reduction reduction)
{
    if (!same_shape(log_q, target, reduction, "kl")) return wg__nil_of(log_q);
    wg_tensor zero = wg__constant(target, 0), counts = wg_not_equal(target, zero);
    wg_tensor t = wg_where(counts, target, wg__constant(target, 1)), q = wg_where(counts, log_q, zero);
    return wg__reduced(wg_mul(target, wg_sub(wg_log(t), q)), reduction);
}
