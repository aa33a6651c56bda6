/* Samples of compositions: einsum, discrete choices, RMS and batch norm, CTC. */
#include "samples.h"

#include <math.h>
#include <stdio.h>

/* ---- einsum ---- */

typedef struct einsum_case {
    const char *formula, *x[4];
} einsum_case;

static const einsum_case einsums[] = {
    {"mnd,d,n->m", {"3,4,2", "2", "4"}}, /* a multiplicative module: s_m = sum u z x */
    {"bij,bjk->bik", {"2,3,4", "2,4,5"}},
    {"ij->ji", {"3,4"}},
    {"ii->i", {"4,4"}},
    {"ii->", {"5,5 t"}},
    {"ij->", {"33,31"}},
    {"i,i->", {"1030", "1030"}},
    {"i,j->ij", {"3", "4 f"}},
    {"i,j->ji", {"1", "7"}},
    {"bi,bi->b", {"4,6 s", "4,6 p"}},
    {"bi,bi->bi", {"4,6 f", "4,6 e"}},
    {"bhqd,bhkd->bhqk", {"2,2,3,4", "2,2,5,4"}}, /* attention scores */
    {"bqhd,bkhd->bhqk", {"2,3,2,4", "2,5,2,4"}},
    {"ij,jk,kl->il", {"2,3", "3,4", "4,5"}},
    {"ij,jk,kl,li->", {"2,3", "3,4", "4,5", "5,2"}},
    {"abc,cd,ea->bde", {"2,3,4", "4,5", "6,2"}},
    {"ij,k->i", {"2,3", "4"}}, /* letters of one operand, summed at once */
    {"iji,jkk->ik", {"3,2,3", "2,4,4"}},
    {"iiijj->ji", {"2,2,2,3,3"}},
    {",->", {"", ""}},
    {"->", {""}},
    {",i->i", {"", "3"}},
    {"ij,jk->ik", {"0,3", "3,4"}},
    {"ij,jk->ik", {"2,0", "0,4"}},
    {"ii->i", {"0,0"}},
    {" i j , j k -> k i ", {"4,3 t", "3,5 o"}},
    {"Aa,aB->AB", {"1,1", "1,1"}},
    {"ab,cd,ef,gh->aceg", {"1,2", "2,1", "2,2", "1,2"}},
    {"abcdefgh,h->abcdefg", {"1,2,1,2,1,2,1,2", "2"}},
    {"ij,ij,ij->ij", {"5,7 t", "5,7", "5,7"}},
    {"...ij,...jk->...ik", {"2,3,4", "2,4,5"}},
    {"...ij,jk->...ik", {"2,2,3,4", "4,5"}},
    {"...i,...i->...", {"3,1,4", "2,4"}},
    {"i...,i->...", {"3,2,4", "3"}},
    {"i...j->j...i", {"3,2,2,4"}},
    {"...i->i", {"2,3,4"}},
    {"...,...->...", {"1,3", "2,1"}},
    {"...->...", {""}},
    {"b...i,...ij->b...j", {"2,3,4", "1,4,5"}},
    {"ij,jk->ik", {"33,31", "31,17"}}};

static wg_tensor make_einsum(sampler *s, const op_samples *row, int i)
{
    wg_tensor x[4];
    int n = 0;
    for (; n < 4 && einsums[i].x[n]; n++) x[n] = x_in(s, einsums[i].x[n]);
    return wg_einsum(einsums[i].formula, x, n);
}

/* One tensor twice. */
static wg_tensor make_einsum_same(sampler *s, const op_samples *row, int i)
{
    static const char *const formulas[] = {"ij,jk->ik", "ij,ij->i", "ij,kj->ki"};
    wg_tensor x = x_in(s, "4,4");
    return wg_einsum(formulas[i], (wg_tensor[]){x, x}, 2);
}

static wg_tensor bad_einsum(sampler *s, const op_samples *row, int i)
{
    static const struct {
        wg_status status;
        const char *words, *formula, *a, *b;
    } all[] = {{WG_ERR_ARGUMENT, "einsum|\"ij,jk->iz\"|z of the result|in no operand", "ij,jk->iz", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|i of the result|twice", "ij,jk->ii", "2,3", "3,2"},
               {WG_ERR_SHAPE, "einsum|operand 2|[4, 5]|j is 4 here and 3", "ij,jk->ik", "2,3", "4,5"},
               {WG_ERR_SHAPE, "einsum|operand 1|[2, 3]|i is 3 here and 2", "ii,jk->i", "2,3", "4,5"},
               {WG_ERR_SHAPE, "einsum|operand 2|[3, 4]|3 letters", "ij,jkl->ik", "2,3", "3,4"},
               {WG_ERR_SHAPE, "einsum|operand 1|[2, 3]|1 letter", "i,jk->ik", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|has 3 operands, 2 are given", "ij,jk,kl->il", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|has 1 operands, 2 are given", "ij->ji", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|->", "ij,jk", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|->", "", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|'.' is not a letter", "..j,jk->..k", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|'.' is not a letter", "......j,jk->jk", "2,3", "3,4"},
               {WG_ERR_SHAPE, "einsum|operand 2|does not broadcast", "...,...->...", "2,3", "3,4"},
               {WG_ERR_SHAPE, "einsum|operand 1|[2, 3]|3 letters", "ijk...,...->i", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|'-' is not a letter", "ij,jk->i->k", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|',' is not a letter", "ij,jk->i,k", "2,3", "3,4"},
               {WG_ERR_ARGUMENT, "einsum|'1' is not a letter", "i1,1k->ik", "2,3", "3,4"},
               {WG_ERR_SHAPE, "einsum|10 axes|8", "abcde,fghij->a", "1,1,1,1,1", "1,1,1,1,1"},
               {WG_ERR_ARGUMENT, "einsum|NULL", NULL, "2,3", "3,4"},
               {WG_ERR_DTYPE, "einsum|operand 2 is i32", "ij,jk->ik", "2,3", NULL}};
    expect(s, all[i].status, all[i].words);
    wg_tensor x[2] = {x_in(s, all[i].a), all[i].b ? x_in(s, all[i].b) : x_i32(s, "3,4", 0, 5)};
    /* Nothing is summed before the product if all letters are wanted later. */
    return wg_einsum(i == 17 ? "abcde,fghij->abcdefghij" : all[i].formula, x, 2);
}

/* ---- discrete choices ---- */

static const char *const specs[] = {"2,3",   "1",     "7",     "1030",  "33,31",           "5,7 t", "4,6 s",
                                    "4,6 p", "4,6 f", "4,6 e", "4,6 b", "1,2,1,2,1,2,1,2", "2,3,4", "513,3 t",
                                    "64",    "1,1",   "3,1",   "2,2,2", "4,6 o",           "1,5"};

/* The hard value is off by a constant, so that its numeric derivative is the soft one's. */
static wg_tensor make_straight(sampler *s, const op_samples *row, int i)
{
    wg_tensor x = x_in(s, specs[i]), soft = i % 2 ? wg_tanh(x) : x;
    return wg_straight_through(wg_add(wg_detach(soft), x_data(s, specs[i], -1, 1)), soft);
}

static wg_tensor make_gumbel(sampler *s, const op_samples *row, int i)
{
    return wg_gumbel_softmax(x_in(s, specs[i]), 0.5 + 0.1 * i, false, i % 3 == 2 ? 0 : -1);
}

static wg_tensor make_hardmax(sampler *s, const op_samples *row, int i)
{
    return wg_hardmax(x_in(s, specs[i]), i % 3 == 2 ? 0 : -1);
}

static wg_tensor bad_straight(sampler *s, const op_samples *row, int i)
{
    static const char *const other[] = {"3", "3,2", "2,1", "", "2,3"};
    expect(s, i < 4 ? WG_ERR_SHAPE : WG_ERR_DTYPE, i == 0 ? "straight_through|[2, 3]|[3]" : "straight_through");
    wg_tensor hard = i == 4 ? x_i32(s, "2,3", 0, 2) : x_in(s, "2,3");
    return wg_straight_through(hard, x_in(s, other[i]));
}

static wg_tensor bad_gumbel(sampler *s, const op_samples *row, int i)
{
    static const double tau[] = {0, -1, NAN, 1, 1};
    expect(s, i == 4 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, i == 0 ? "gumbel_softmax|tau = 0" : "gumbel_softmax");
    return wg_gumbel_softmax(i == 4 ? x_i32(s, "2,3", 0, 2) : x_in(s, "2,3"), tau[i], i & 1, i == 3 ? 2 : -1);
}

static wg_tensor bad_hardmax(sampler *s, const op_samples *row, int i)
{
    static const char *const spec[] = {"", "2,3", "2,3", "2,0", "0"};
    expect(s, i < 2 ? WG_ERR_ARGUMENT : i == 2 ? WG_ERR_DTYPE : WG_ERR_SHAPE, "hardmax");
    return wg_hardmax(i == 2 ? x_bool(s, "2,3") : x_in(s, spec[i]), i == 1 ? -3 : -1);
}

/* ---- norms ---- */

static wg_tensor make_rms(sampler *s, const op_samples *row, int i)
{
    wg_shape shape = shape_of_spec(specs[i]);
    char size[16];
    snprintf(size, sizeof size, "%lld", (long long)shape.size[shape.rank - 1]);
    wg_tensor x = x_in(s, specs[i]);
    return wg_rms_norm(x, i % 4 == 3 ? WG_NONE : x_in(s, size), i % 2 ? 1e-2 : 0.1);
}

static wg_tensor bad_rms(sampler *s, const op_samples *row, int i)
{
    static const char *const x[] = {"2,3", "", "2,0", "2,3", "2,3", "2,3"};
    expect(s,
           i == 3   ? WG_ERR_ARGUMENT
           : i == 4 ? WG_ERR_DTYPE
                    : WG_ERR_SHAPE,
           i == 0 ? "rms_norm|[2, 3]|[4]|[3]" : "rms_norm");
    wg_tensor weight = i == 4 ? x_i32(s, "3", 0, 2) : x_in(s, i == 0 ? "4" : i == 5 ? "1,3" : "3");
    return wg_rms_norm(x_in(s, x[i]), weight, i == 3 ? NAN : 1e-5);
}

typedef struct batch_case {
    const char *x, *channels;
    bool weight, bias;
} batch_case;

static const batch_case batches[] = {{"4,3", "3", true, true},     {"2,1", "1", true, true},
                                     {"2,3,4", "3", true, true},   {"2,3,4,5", "3", true, true},
                                     {"1,3,2", "3", true, false},  {"5,7 t", "7", false, true},
                                     {"4,6 s", "6 f", true, true}, {"4,6 p", "6", false, false},
                                     {"4,6 f", "6 s", true, true}, {"4,3,4 o", "3", true, true},
                                     {"515,2", "2", true, true},   {"3,1030", "1030", true, true},
                                     {"33,31", "31", true, true},  {"1,2,1,2,1,2,1,3", "2 p", true, true},
                                     {"2,3,1,1", "3", true, true}, {"7,5", "5", true, false},
                                     {"2,3,4 t", "3", true, true}, {"2,1,5", "1", true, true},
                                     {"4,5,3 f", "5", true, true}, {"2,0", "0", true, true},
                                     {"16,4", "4", true, true}};

static wg_tensor make_batch(sampler *s, const op_samples *row, int i)
{
    const batch_case *c = &batches[i];
    wg_tensor x = x_in(s, c->x), w = c->weight ? x_in(s, c->channels) : WG_NONE;
    wg_tensor b = c->bias ? x_in(s, c->channels) : WG_NONE;
    const double epsilon = i % 2 ? 1e-2 : 0.1;
    if (row->op == 0) return wg_batch_norm(x, w, b, x_in(s, c->channels), x_range(s, c->channels, 0.2, 2), epsilon);
    wg_tensor mean, var, y = wg_batch_norm_train(x, w, b, epsilon, &mean, i % 3 == 2 ? NULL : &var);
    /* The statistics have gradients too. */
    return i % 3 != 1 ? y : wg_concat((wg_tensor[]){wg_flatten(y, 0, -1), mean, var}, 3, 0);
}

/* Statistics that are wrong. */
static wg_tensor bad_statistics(sampler *s, int i)
{
    expect(s,
           i == 4  ? WG_ERR_DTYPE
           : i > 1 ? WG_ERR_ARGUMENT
                   : WG_ERR_SHAPE,
           i % 2    ? "batch_norm|variance"
           : i == 4 ? "batch_norm"
                    : "batch_norm|mean");
    wg_tensor in = x_in(s, "4,3"), mean = i == 2 ? WG_NONE : i == 4 ? x_i32(s, "3", 0, 2) : x_in(s, i ? "3" : "4");
    return wg_batch_norm(in, WG_NONE, WG_NONE, mean, i == 3 ? WG_NONE : x_in(s, i == 1 ? "3,1" : "3"), 1e-5);
}

static wg_tensor bad_batch(sampler *s, const op_samples *row, int i)
{
    if (row->op == 0 && i >= 6) return bad_statistics(s, i - 6);
    static const char *const x[] = {"4,3", "3", "4,3", "4,3", "", "4,3", "1,3", "1,3,1", "0,3", "2,3,0"};
    static const char *const w[] = {"4", "3", "1,3", "3", "3", "3", "3", "3", "3", "3"};
    static char words[48];
    snprintf(words, sizeof words, "%s%s", row->name, i == 0 ? "|[4, 3]|[4]|[3]" : i == 6 ? "|more than one" : "");
    expect(s, i == 3 ? WG_ERR_ARGUMENT : i == 5 ? WG_ERR_DTYPE : WG_ERR_SHAPE, words);
    wg_tensor in = x_in(s, x[i]), weight = i == 5 ? x_i32(s, "3", 0, 2) : x_in(s, w[i]), bias = x_in(s, "3");
    const double epsilon = i == 3 ? -1 : 1e-5;
    if (row->op == 1) return wg_batch_norm_train(in, weight, bias, epsilon, NULL, NULL);
    return wg_batch_norm(in, weight, bias, x_in(s, "3"), x_in(s, "3"), epsilon);
}

/* ---- CTC ---- */

typedef struct ctc_case {
    int T, B, C, S;
    wg_reduction reduction;
} ctc_case;

static const ctc_case ctcs[] = {{5, 2, 4, 2, WG_MEAN},        {1, 1, 2, 1, WG_MEAN},        {1, 1, 1, 0, WG_SUM},
                                {3, 2, 3, 0, WG_MEAN},        {7, 3, 5, 3, WG_REDUCE_NONE}, {8, 2, 3, 4, WG_SUM},
                                {4, 1, 6, 2, WG_REDUCE_NONE}, {9, 4, 2, 2, WG_MEAN},        {6, 0, 3, 2, WG_MEAN},
                                {20, 2, 9, 7, WG_SUM}};

/* Targets that always fit: no more than half of the steps, so that each label may have a blank before it. */
static wg_tensor make_ctc(sampler *s, const op_samples *row, int i)
{
    const ctc_case *c = &ctcs[i % 10];
    char logits[32], targets[32], batch[16];
    snprintf(logits, sizeof logits, "%d,%d,%d%s", c->T, c->B, c->C, i < 10 ? "" : i % 2 ? " s" : " t");
    snprintf(targets, sizeof targets, "%d,%d", c->B, c->S);
    snprintf(batch, sizeof batch, "%d", c->B);
    const int shortest = i < 10 ? c->T : (c->T + 1) / 2, fits = shortest / 2 < c->S ? shortest / 2 : c->S;
    wg_tensor x = x_in(s, logits), y = x_i32(s, targets, 1, c->C > 1 ? c->C : 2);
    wg_tensor steps = x_i32(s, batch, shortest, c->T + 1), sizes = x_i32(s, batch, i < 10 ? fits : 0, fits + 1);
    return wg_ctc_loss(i == 0 ? x : wg_log_softmax(x, -1), y, steps, sizes, 0, c->reduction);
}

static wg_tensor bad_ctc(sampler *s, const op_samples *row, int i)
{
    static const char *const x[] = {"5,2", "5,2,3", "5,2,3", "5,2,3", "5,2,3", "5,2,3", "5,2,3", "5,2,3"};
    static const char *const words[] = {"[5, 2]|[T, B, C]",
                                        "targets|[3, 2]|[2, S]",
                                        "input lengths|[3]|[2]",
                                        "target lengths|[1, 2]",
                                        "blank = 3",
                                        "blank = -1",
                                        "reduction",
                                        "targets|i32"};
    static char text[64];
    snprintf(text, sizeof text, "ctc_loss|%s", words[i]);
    expect(s, i >= 4 && i < 7 ? WG_ERR_ARGUMENT : WG_ERR_SHAPE, text);
    wg_tensor log_probs = x_in(s, x[i]);
    wg_tensor targets = i == 7 ? x_data(s, "2,2", 1, 2) : x_i32(s, i == 1 ? "3,2" : "2,2", 1, 3);
    return wg_ctc_loss(log_probs, targets, x_i32(s, i == 2 ? "3" : "2", 5, 6), x_i32(s, i == 3 ? "1,2" : "2", 1, 3),
                       i == 4   ? 3
                       : i == 5 ? -1
                                : 0,
                       i == 6 ? (wg_reduction)3 : WG_MEAN);
}

const op_samples samples_composed[] = {
    {.name = "einsum",
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(einsums),
     .make = make_einsum,
     .n_bad = 20,
     .bad = bad_einsum},
    {.name = "einsum", .flags = SAMPLE_SMOOTH, .n = 3, .make = make_einsum_same},
    {.name = "straight_through",
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
     .n = 20,
     .make = make_straight,
     .n_bad = 5,
     .bad = bad_straight},
    {.name = "gumbel_softmax",
     .flags = SAMPLE_SMOOTH,
     .n = 20,
     .make = make_gumbel,
     .n_bad = 5,
     .bad = bad_gumbel,
     .tolerance = 1e-4},
    {.name = "hardmax", .n = 20, .make = make_hardmax, .n_bad = 5, .bad = bad_hardmax},
    {.name = "rms_norm", .flags = SAMPLE_SMOOTH, .n = 20, .make = make_rms, .n_bad = 6, .bad = bad_rms},
    {.name = "batch_norm",
     .op = 0,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(batches),
     .make = make_batch,
     .n_bad = 11,
     .bad = bad_batch},
    {.name = "batch_norm_train",
     .op = 1,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(batches),
     .make = make_batch,
     .n_bad = 10,
     .bad = bad_batch},
    {.name = "ctc_loss", .flags = SAMPLE_SMOOTH, .n = 20, .make = make_ctc, .n_bad = 8, .bad = bad_ctc},
    {0}};
