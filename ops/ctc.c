/* Connectionist temporal classification, by composition: the forward recursion over time in log space, on the labels
 * with blanks before, between and after them. */
#include "internal.h"

#include <math.h>

/* The logarithm of probability zero as a finite number, so that no NaN arises in values or gradients. Anything below
 * half of it counts as impossible. */
static const double log_zero = -1e30;

typedef struct ctc {
    int64_t T, B, C, S; /* steps, batch, classes, targets */
    int64_t L;          /* labels and blanks: 2 S + 1 */
} ctc;

static bool check_i32(wg_tensor on, wg_tensor x, int rank, int64_t batch, const char *what, wg_shape *shape)
{
    char text[128];
    if (!x.tape) return wg_fail(on, WG_ERR_ARGUMENT, "ctc_loss", "the %s were never set", what), false;
    if (!wg__shape(x, shape, "ctc_loss")) return false;
    if (wg_dtype_get(x) == WG_I32 && shape->rank == rank && shape->size[0] == batch) return true;
    wg__refuse(on, WG_ERR_SHAPE, "ctc_loss", "the %s are %s %s: must be i32 [%lld%s] for log_probs [T, B, C]", what,
               wg_shape_text(shape, text, sizeof text), wg_dtype_name(wg_dtype_get(x)), (long long)batch,
               rank == 2 ? ", S" : "");
    return false;
}

static bool check(wg_tensor log_probs, wg_tensor targets, wg_tensor input_lengths, wg_tensor target_lengths,
                  int64_t blank, wg_reduction reduction, ctc *c)
{
    wg_shape x, y;
    if (!log_probs.tape)
        return wg_fail(targets, WG_ERR_ARGUMENT, "ctc_loss", "operand 1, the log_probs, was never set"), false;
    if (!wg__shape(log_probs, &x, "ctc_loss") || !wg__float(log_probs, "ctc_loss")) return false;
    if (x.rank != 3) return wg__refuse(log_probs, WG_ERR_SHAPE, "ctc_loss", "log_probs must be [T, B, C]"), false;
    if (blank < 0 || blank >= x.size[2])
        return wg__refuse(log_probs, WG_ERR_ARGUMENT, "ctc_loss", "blank = %lld is not one of %lld classes",
                          (long long)blank, (long long)x.size[2]),
               false;
    if (!wg__is_reduction(log_probs, reduction, "ctc_loss")) return false;
    if (!check_i32(log_probs, input_lengths, 1, x.size[1], "input lengths", &y) ||
        !check_i32(log_probs, target_lengths, 1, x.size[1], "target lengths", &y) ||
        !check_i32(log_probs, targets, 2, x.size[1], "targets", &y))
        return false;
    *c = (ctc){.T = x.size[0], .B = x.size[1], .C = x.size[2], .S = y.size[1], .L = 2 * y.size[1] + 1};
    return true;
}

/* ln(e^a + e^b + e^c). The maximum is detached: the result does not depend on the shift. */
static wg_tensor log_add(wg_tensor a, wg_tensor b, wg_tensor c)
{
    wg_tensor m = wg_detach(wg_maximum(wg_maximum(a, b), c));
    wg_tensor sum = wg_add(wg_add(wg_exp(wg_sub(a, m)), wg_exp(wg_sub(b, m))), wg_exp(wg_sub(c, m)));
    return wg_add(m, wg_log(sum));
}

/* blank l0 blank l1 ... blank: [B, L], with blanks past a target's length. */
static wg_tensor extended(const ctc *c, wg_tensor targets, wg_tensor target_lengths, wg_tensor blank)
{
    wg_tensor blanks = wg_expand(blank, WG_DIMS(c->B, c->S));
    wg_tensor labels = wg_where(wg_length_mask(target_lengths, c->S), targets, blank);
    wg_tensor pairs = wg_reshape(wg_stack((wg_tensor[]){blanks, labels}, 2, 2), WG_DIMS(c->B, 2 * c->S));
    return wg_concat((wg_tensor[]){pairs, wg_expand(blank, WG_DIMS(c->B, 1))}, 2, 1);
}

/* x[B, L] shifted by n along the labels, filled with value. */
static wg_tensor shifted(const ctc *c, wg_tensor x, int64_t n, double value)
{
    return wg_slice(wg_pad_value(x, 1, n, 0, value), 1, 0, c->L);
}

/* ln p(target) of each sequence, [B]. alpha[b][s] is the log-probability of all paths that are at label s. */
static wg_tensor log_likelihood(const ctc *c, wg_tensor log_probs, wg_tensor targets, wg_tensor input_lengths,
                                wg_tensor target_lengths, int64_t blank_class)
{
    wg_tape *tape = log_probs.tape;
    wg_tensor impossible = wg__constant(log_probs, log_zero), blank = wg__constant(targets, (double)blank_class);
    wg_tensor label = extended(c, targets, target_lengths, blank);
    /* A label may follow the previous label without a blank in between if the two differ. */
    wg_tensor skips =
        wg_logical_and(wg_not_equal(label, blank), wg_not_equal(label, shifted(c, label, 2, (double)blank_class)));
    wg_tensor runs = wg_unsqueeze(wg_t(wg_length_mask(input_lengths, c->T)), 2);
    wg_tensor known = wg_maximum(log_probs, impossible);
    wg_tensor emits = wg_gather(known, 2, wg_expand(label, WG_DIMS(c->T, c->B, c->L)));
    wg_tensor position = wg_arange(tape, WG_I32, 0, 1, c->L);
    wg_tensor alpha =
        wg_expand(wg_where(wg_equal(position, wg__constant(position, 0)), wg__constant(impossible, 0), impossible),
                  WG_DIMS(c->B, c->L));
    for (int64_t t = 0; t < c->T; t++) {
        wg_tensor skipped = wg_where(skips, shifted(c, alpha, 2, log_zero), impossible);
        wg_tensor next = wg_add(log_add(alpha, shifted(c, alpha, 1, log_zero), skipped), wg_select(emits, 0, t));
        alpha = wg_where(wg_select(runs, 0, t), next, alpha); /* unchanged past the end of a sequence */
    }
    /* A path ends at the last label or at the blank after it: where the number of labels so far is the target
     * length. */
    wg_tensor labels = wg_cast(wg_arange(tape, WG_F64, 0.5, 0.5, c->L), WG_I32);
    wg_tensor ends = wg_equal(labels, wg_unsqueeze(target_lengths, 1));
    return wg_logsumexp(wg_where(ends, alpha, impossible), WG_AXES(1), false);
}

wg_tensor wg_ctc_loss(wg_tensor log_probs, wg_tensor targets, wg_tensor input_lengths, wg_tensor target_lengths,
                      int64_t blank, wg_reduction reduction)
{
    ctc c;
    if (!check(log_probs, targets, input_lengths, target_lengths, blank, reduction, &c))
        return wg__nil_of(log_probs);
    wg_tensor each = log_likelihood(&c, log_probs, targets, input_lengths, target_lengths, blank);
    wg_tensor possible = wg_greater(each, wg__constant(each, log_zero / 2));
    each = wg_where(possible, wg_neg(each), wg__constant(each, INFINITY));
    if (reduction == WG_REDUCE_NONE) return each;
    if (reduction == WG_SUM || c.B == 0) return wg_sum_all(each);
    wg_tensor counted = wg_cast(wg_maximum(target_lengths, wg__constant(target_lengths, 1)), wg_dtype_get(each));
    return wg_mean_all(wg_div(each, counted));
}
