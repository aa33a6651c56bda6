/* What every op must refuse, by its samples: bad inputs; operands that are stale, unset, nil or of another tape. And
 * every op has samples. */
#include "../ops/internal.h"
#include "samples.h"

/* ---- bad inputs ---- */

/* True if the text holds every one of "word|word|...". */
static bool holds(const char *text, const char *words)
{
    char word[128];
    while (*words) {
        size_t n = strcspn(words, "|");
        snprintf(word, sizeof word, "%.*s", (int)n, words);
        if (!strstr(text, word)) return false;
        words += n + (words[n] == '|');
    }
    return true;
}

static void bad_inputs(void)
{
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    for (int at = 0; (row = samples_at(at)); at++) {
        for (int i = 0; i < row->n_bad; i++) {
            if (!sample_wanted(row, i)) continue;
            sampler s = {.tape = tape, .set = wg_params_new(WG_F64), .spoil_at = -1};
            wg_scope_begin(tape, "outer");
            wg_tensor out = sample_bad(&s, row, i);
            bool nil = wg_is_nil(out);
            wg_status status = wg_tape_reset(tape);
            const char *text = wg_tape_message(tape);
            if (status != s.expected || !nil || !holds(text, s.words) || !strstr(text, "[outer]"))
                sample_failed(row, i, "(bad input) %s '%s'%s, but should be %s with '%s' and [outer]",
                              wg_status_name(status), text, nil ? "" : " (and the result is not nil)",
                              wg_status_name(s.expected), s.words);
            wg_params_free(s.set);
        }
    }
    wg_tape_free(tape);
}

/* ---- spoiled operands ---- */

/* linear's bias, the weight and bias of norms. */
static bool may_be_unset(const op_samples *row, int k)
{
    return (!strcmp(row->name, "linear") && k == 2) || (!strcmp(row->name, "layer_norm") && k > 0) ||
           (strstr(row->name, "_norm_grad") && k == 2) || (!strcmp(row->name, "rms_norm") && k == 1) ||
           (!strncmp(row->name, "batch_norm", 10) && (k == 1 || k == 2)) ||
           (!strncmp(row->name, "conv", 4) && k == 2);
}

static void check_spoiled(sampler *s, const op_samples *row)
{
    static const wg_status expected[] = {[SPOIL_STALE] = WG_ERR_STALE,
                                         [SPOIL_UNSET] = WG_ERR_ARGUMENT,
                                         [SPOIL_NIL] = WG_OK,
                                         [SPOIL_TAPE] = WG_ERR_ARGUMENT};
    bool nil = wg_is_nil(sample_make(s, row, 0));
    wg_status status = wg_tape_reset(s->tape), other = wg_tape_reset(s->other);
    const char *text = wg_tape_message(status == WG_OK && other != WG_OK ? s->other : s->tape);
    /* Before it can be recorded, a composition asks for shapes; and it is made of other ops. */
    bool early = !strncmp(text, "shape:", 6) || !strncmp(text, "dtype:", 6), by_name = s->spoil == SPOIL_UNSET;
    bool named = strstr(text, row->name) || early || !by_name || (row->flags & SAMPLE_OTHER_NAME);
    if (status == WG_OK) status = other;
    if (status != expected[s->spoil] || !nil || !named)
        sample_failed(row, 0, "operand %d spoiled (%d): %s '%s', should be %s", s->spoil_at, s->spoil,
                      wg_status_name(status), text, wg_status_name(expected[s->spoil]));
}

/* Each operand of sample 0 in turn replaced: stale, never set, nil, of another tape. */
static void spoiled_operands(void)
{
    static const double zeros[6];
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults()), *other = wg_tape_new(wg_tape_defaults());
    wg_tensor stale = wg_data(tape, WG_F64, WG_DIMS(2, 3), zeros);
    wg_tape_reset(tape);
    for (int at = 0; (row = samples_at(at)); at++) {
        if (!sample_wanted(row, 0) || row->flags & SAMPLE_NO_SPOIL) continue;
        sampler s = {.tape = tape, .other = other, .stale = stale, .set = wg_params_new(WG_F64), .spoil_at = -1};
        sample_make(&s, row, 0);
        int operands = s.n_operands;
        wg_tape_reset(tape);
        for (s.spoil_at = 0; s.spoil_at < operands; s.spoil_at++) {
            for (s.spoil = SPOIL_STALE; s.spoil <= SPOIL_TAPE; s.spoil++) {
                bool alone = operands == 1 && (s.spoil == SPOIL_UNSET || s.spoil == SPOIL_TAPE);
                if (!alone && !(s.spoil == SPOIL_UNSET && may_be_unset(row, s.spoil_at))) check_spoiled(&s, row);
            }
        }
        wg_params_free(s.set);
    }
    wg_tape_free(tape);
    wg_tape_free(other);
}

/* Samples that do not use the operand, or make the others of it. */
static bool is_alone(const op_samples *row, int i)
{
    return (!strcmp(row->name, "add_n") && i == 6) || (!strcmp(row->name, "cross_entropy") && i == 1) ||
           (!strcmp(row->name, "mse") && i == 17);
}

/* Whether sample i has an operand number `at` of a float, and another one. */
static bool has_partner(sampler *s, const op_samples *row, int i, int at)
{
    int floats = 0;
    bool is_float = false;
    s->spoil = SPOIL_NOTHING;
    s->spoil_at = -1;
    sample_make(s, row, i);
    for (int k = 0; k < s->n_operands; k++) {
        floats += s->is_float[k];
        is_float |= k == at && s->is_float[k];
    }
    wg_tape_reset(s->tape);
    return is_float && floats > 1;
}

/* One of two or more floats is the other float: refused, with the op's name. */
static void mixed_dtypes(void)
{
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    FOR_EACH_SAMPLE(row, i)
    {
        sampler s = {.tape = tape, .set = wg_params_new(WG_F64), .spoil_at = -1};
        for (int at = 0, operands = 1; at < operands && !(row->flags & SAMPLE_NO_SPOIL); at++) {
            if (has_partner(&s, row, i, at)) {
                s.spoil = SPOIL_DTYPE, s.spoil_at = at;
                const bool nil = wg_is_nil(sample_make(&s, row, i));
                const wg_status status = wg_tape_reset(tape);
                const bool named = status == WG_ERR_DTYPE || strstr(wg_tape_message(tape), "dtype");
                if ((!nil || !status || !named) && !is_alone(row, i))
                    sample_failed(row, i, "operand %d of the other float: %s '%s'", at, wg_status_name(status),
                                  wg_tape_message(tape));
            }
            operands = s.n_operands;
        }
        wg_params_free(s.set);
    }
    wg_tape_free(tape);
}

/* ---- the list ---- */

static int count_of(const char *name, bool bad)
{
    const op_samples *row;
    int n = 0;
    for (int at = 0; (row = samples_at(at)); at++)
        if (!strcmp(row->name, name)) n += bad ? row->n_bad : row->n;
    return n;
}

/* Ops that only the engine records, tested by way of others. */
static bool engine_only(const char *name)
{
    static const char *const names[] = {"fill", "copy"};
    for (int i = 0; i < COUNT(names); i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

static void every_op_has_samples(void)
{
    const wg_op *op;
    const op_samples *row;
    for (int i = 0; (op = wg_op_at(i)); i++) {
        if (!engine_only(op->name) && count_of(op->name, false) < 20)
            FAIL("%s has %d samples, of 20", op->name, count_of(op->name, false));
        if (!op->vjp && !(op->flags & WG_OP_NO_GRADIENT) && op->max_in != 0)
            FAIL("%s has no vjp and does not say so", op->name);
    }
    for (int at = 0; (row = samples_at(at)); at++)
        if (count_of(row->name, false) < 20)
            FAIL("%s has %d samples, of 20", row->name, count_of(row->name, false));
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(bad_inputs), TEST_CASE(spoiled_operands), TEST_CASE(mixed_dtypes),
                                 TEST_CASE(every_op_has_samples)};
    return RUN_TESTS(tests);
}
