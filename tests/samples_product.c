/* Samples of products. */
#include "samples.h"

#include <math.h>

#include "../ops/kernels/attention/attention.h"
#include <string.h>

enum { MATMUL, LINEAR, DOT, OUTER };

typedef const char *const pair[3];

static pair matmuls[] = {{"2,3", "3,4"},       {"1,1", "1,1"},         {"3", "3"},
                         {"1", "1"},           {"3", "3,4"},           {"2,3", "3"},
                         {"1,7", "7,5"},       {"5,7", "7,1"},         {"0,3", "3,4"},
                         {"2,0", "0,4"},       {"2,3", "3,0"},         {"0", "0"},
                         {"1030,2", "2,3"},    {"2,1030", "1030,2"},   {"33,31", "31,17"},
                         {"2,2,3", "2,3,4"},   {"2,2,3", "3,4"},       {"2,3", "5,3,4"},
                         {"2,1,2,3", "3,3,4"}, {"1,2,3", "4,3,2"},     {"4,3 t", "3,5"},
                         {"4,3", "3,5 t"},     {"4,3 t", "3,5 t"},     {"4,3 s", "3,5 p"},
                         {"4,3 p", "3,5 s"},   {"4,3 f", "3,5 f"},     {"4,3 e", "3,5 e"},
                         {"2,4,3 b", "2,3,5"}, {"2,4,3 t", "2,3,5 t"}, {"4,3 o", "3,5 o"},
                         {"4,4", "="},         {"2,3,3", "="},         {"5", "="},
                         {"3", "2,3,4"},       {"2,3,4", "4"},         {"0,2,3", "3,4"},
                         {"0,2,3", "0,3,4"},   {"70,65", "65,40"}};
static pair linears[] = {{"2,3", "4,3", "4"},        {"1", "1,1", "1"},         {"3", "4,3", "4"},
                         {"3", "4,3", NULL},         {"1,7", "5,7", "5"},       {"0,3", "4,3", "4"},
                         {"2,0", "4,0", "4"},        {"2,3", "0,3", "0"},       {"1030,2", "3,2", NULL},
                         {"2,1030", "3,1030", "3"},  {"33,31", "17,31", "17"},  {"2,2,3", "4,3", "4"},
                         {"2,5,3", "4,3", NULL},     {"2,2,2,3", "4,3", "4"},   {"4,3 t", "5,3", "5"},
                         {"4,3", "5,3 t", "5 f"},    {"4,3 s", "5,3 p", "5 s"}, {"4,3 f", "5,3 o", "5 p"},
                         {"2,4,3 b", "5,3 e", NULL}, {"2,4,3 t", "5,3 f", "5"}, {"3,3", "=", NULL}};
static pair dots[] = {
    {"3", "3"},         {"", ""},           {"1", "1"},       {"1030", "1030"},
    {"0", "0"},         {"2,0", "2,0"},     {"2,3", "2,3"},   {"33,31", "33,31"},
    {"2,3,4", "2,3,4"}, {"5,7 t", "5,7"},   {"5,7", "5,7 t"}, {"4,6 s", "4,6 p"},
    {"4,6 f", "4,6 e"}, {"4,6 o", "4,6 b"}, {"7 f", "7"},     {"7", "7 p"},
    {"2,3", "="},       {"1030", "="},      {"", "="},        {"1,2,1,2,1,2,1,2", "1,2,1,2,1,2,1,2"}};
static pair outers[] = {{"3", "4"},   {"1", "1"},   {"1", "7"},     {"7", "1"},     {"0", "4"},
                        {"3", "0"},   {"0", "0"},   {"1030", "2"},  {"2", "1030"},  {"33", "31"},
                        {"5 f", "3"}, {"5", "3 f"}, {"5 s", "3 p"}, {"5 p", "3 s"}, {"5 o", "3"},
                        {"5 e", "3"}, {"5", "3 e"}, {"5 f", "5 f"}, {"4", "="},     {"1", "="}};

static wg_tensor product(int op, wg_tensor a, wg_tensor b, wg_tensor c)
{
    switch (op) {
    case MATMUL: return wg_matmul(a, b);
    case LINEAR: return wg_linear(a, b, c);
    case DOT: return wg_dot(a, b);
    default: return wg_outer(a, b);
    }
}

static wg_tensor make_product(sampler *s, const op_samples *row, int i)
{
    pair *const all[] = {matmuls, linears, dots, outers};
    const char *const *spec = all[row->op][i];
    wg_tensor a = x_in(s, spec[0]), b = spec[1][0] == '=' ? a : x_in(s, spec[1]);
    return product(row->op, a, b, row->op == LINEAR && spec[2] ? x_in(s, spec[2]) : WG_NONE);
}

/* One weight under several left operands, as in an unrolled loop: what the planner merges and packs. */
static wg_tensor make_shared(sampler *s, const op_samples *row, int i)
{
    static const char *const left[] = {"2,3", "17,3", "1,3", "3,2,3"};
    wg_tensor w = x_in(s, i % 2 ? "3,3" : "3,3 t"), h = x_in(s, left[i / 2 % 4]), sum = h;
    for (int t = 0; t < 3 + i % 3; t++) {
        h = wg_tanh(wg_matmul(h, i % 3 ? w : wg_t(w)));
        sum = wg_add(sum, h);
    }
    return i % 5 ? sum : wg_mul(sum, wg_matmul(h, w));
}

static wg_tensor bad_product(sampler *s, const op_samples *row, int i)
{
    static const struct {
        wg_status status;
        const char *words, *a, *b, *c;
    } all[][7] = {{{WG_ERR_SHAPE, "matmul|[2, 3]|[4, 5]|3|4", "2,3", "4,5", NULL},
                   {WG_ERR_SHAPE, "matmul|[2, 3]|[2, 3]|wg_t", "2,3", "2,3", NULL},
                   {WG_ERR_SHAPE, "matmul|scalar", "", "2,3", NULL},
                   {WG_ERR_SHAPE, "matmul|scalar", "2,3", "", NULL},
                   {WG_ERR_SHAPE, "matmul|[2, 2, 3]|[3, 3, 4]", "2,2,3", "3,3,4", NULL},
                   {WG_ERR_SHAPE, "matmul", "3", "4", NULL},
                   {WG_ERR_SHAPE, "matmul|[2, 2, 3]|[4, 5]", "2,2,3", "4,5", NULL}},
                  {{WG_ERR_SHAPE, "linear|[2, 3]|[3, 4]", "2,3", "3,4", NULL},
                   {WG_ERR_SHAPE, "linear|[]", "", "4,3", NULL},
                   {WG_ERR_SHAPE, "linear|[2, 3]|[3]", "2,3", "3", NULL},
                   {WG_ERR_SHAPE, "linear|[3]|[4, 3]|[4]", "2,3", "4,3", "3"},
                   {WG_ERR_SHAPE, "linear|[1, 4]", "2,3", "4,3", "1,4"},
                   {WG_ERR_SHAPE, "linear|[2, 4, 3]", "2,3", "2,4,3", NULL},
                   {WG_ERR_SHAPE, "linear|[1]", "2,3", "4,3", "1"}},
                  {{WG_ERR_SHAPE, "dot|[3]|[4]", "3", "4", NULL},
                   {WG_ERR_SHAPE, "dot|[2, 3]|[3, 2]", "2,3", "3,2", NULL},
                   {WG_ERR_SHAPE, "dot|[2, 3]|[3]", "2,3", "3", NULL},
                   {WG_ERR_SHAPE, "dot|[]|[1]", "", "1", NULL},
                   {WG_ERR_SHAPE, "dot|[0]|[1]", "0", "1", NULL},
                   {WG_ERR_SHAPE, "dot|[1]|[]", "1", "", NULL},
                   {WG_ERR_SHAPE, "dot|[2]|[1, 2]", "2", "1,2", NULL}},
                  {{WG_ERR_SHAPE, "outer|[2, 3]|[4]", "2,3", "4", NULL},
                   {WG_ERR_SHAPE, "outer|[4]|[2, 3]", "4", "2,3", NULL},
                   {WG_ERR_SHAPE, "outer|[]|[4]", "", "4", NULL},
                   {WG_ERR_SHAPE, "outer|[4]|[]", "4", "", NULL},
                   {WG_ERR_SHAPE, "outer|[1, 4]|[4]", "1,4", "4", NULL},
                   {WG_ERR_SHAPE, "outer|[0, 0]|[0]", "0,0", "0", NULL},
                   {WG_ERR_SHAPE, "outer|[]|[]", "", "", NULL}}};
    if (i >= 7) {
        const char *spec = row->op >= DOT ? "3" : "3,3";
        wg_tensor a = i == 7 ? x_bool(s, spec) : x_in(s, spec), b = i == 7 ? x_bool(s, spec) : x_i32(s, spec, 0, 3);
        static char words[32];
        strcat(strcpy(words, row->name), i == 7 ? "|bool" : "|i32");
        expect(s, WG_ERR_DTYPE, words);
        if (row->op == LINEAR && i == 8) return wg_linear(a, x_in(s, "3,3"), x_i32(s, "3", 0, 3));
        return product(row->op, a, b, WG_NONE);
    }
    expect(s, all[row->op][i].status, all[row->op][i].words);
    wg_tensor a = x_in(s, all[row->op][i].a), b = x_in(s, all[row->op][i].b);
    return product(row->op, a, b, all[row->op][i].c ? x_in(s, all[row->op][i].c) : WG_NONE);
}

/* ---- attention ---- */

typedef struct attention_case {
    const char *q, *k, *v, *mask, *bias;
    bool causal, weights;
    int window;
    double scale;
} attention_case;

static const attention_case attentions[] = {
    {"3,4", "5,4", "5,2", NULL, NULL, false, false, -1, -1},
    {"1,1", "1,1", "1,1", NULL, NULL, false, false, -1, -1},
    {"2,3,4", "2,5,4", "2,5,3", NULL, NULL, false, false, -1, -1},
    {"2,2,3,4", "2,2,5,4", "2,2,5,3", NULL, NULL, false, false, -1, 0.7},
    {"5,4", "5,4", "5,4", NULL, NULL, true, false, -1, -1},
    {"3,4", "5,4", "5,2", NULL, NULL, true, false, -1, -1},
    {"5,4", "3,4", "3,2", NULL, NULL, true, false, -1, -1},
    {"5,4", "5,4", "5,4", NULL, NULL, true, false, 1, -1},
    {"5,4", "5,4", "5,4", NULL, NULL, false, false, 1, -1},
    {"6,4", "2,4", "2,4", NULL, NULL, false, false, 0, -1}, /* rows with nothing to see */
    {"2,3,4", "2,5,4", "2,5,2", "5", NULL, false, false, -1, -1},
    {"2,3,4", "2,5,4", "2,5,2", "2,1,5", NULL, false, false, -1, -1},
    {"2,3,4", "2,5,4", "2,5,2", "3,5", "3,5", true, false, 2, 0},
    {"2,3,4", "2,5,4", "2,5,2", NULL, "2,3,5", false, false, -1, -1},
    {"2,3,4", "5,4", "5,2", NULL, "1,5", false, true, -1, -1},
    {"2,3,4", "5,4", "5,2", "2,3,5", NULL, true, true, -1, -1},
    {"3,4", "0,4", "0,2", NULL, NULL, false, false, -1, -1},
    {"0,4", "5,4", "5,2", NULL, NULL, true, false, -1, -1},
    {"3,4 t", "5,4 f", "5,2 s", NULL, "3,5 t", false, false, -1, -1},
    {"2,3,4 b", "5,4 e", "5,2 p", NULL, NULL, true, false, -1, -1},
    {"33,31", "17,31", "17,5", NULL, NULL, true, false, -1, -1}};

static wg_tensor make_attention(sampler *s, const op_samples *row, int i)
{
    const attention_case *c = &attentions[i];
    wg_attention_options o = wg_attention_defaults();
    o.scale = c->scale;
    o.causal = c->causal;
    o.window = c->window;
    wg_tensor q = x_in(s, c->q), k = x_in(s, c->k);
    wg_tensor v = c->weights ? WG_NONE : x_in(s, c->v);
    if (c->mask) o.mask = x_bool(s, c->mask);
    if (c->bias) o.bias = x_in(s, c->bias);
    return c->weights ? wg_attention_weights(q, k, o) : wg_attention(q, k, v, o);
}

/* The gradients of q, k and v as one, as attention's derivative records it. */
static wg_tensor make_attention_grad(sampler *s, const op_samples *row, int i)
{
    static const char *const specs[][5] = {
        {"3,4", "5,4", "5,2", "3,2", "3,5"},           {"1,1", "1,1", "1,1", "1,1", "1,1"},
        {"2,3,4", "2,5,4", "2,5,3", "2,3,3", "2,3,5"}, {"2,2,3,4", "2,2,5,4", "2,2,5,3", "2,2,3,3", "2,2,3,5"},
        {"3,4 t", "5,4 f", "5,2 s", "3,2 p", "3,5 t"}, {"0,4", "5,4", "5,2", "0,2", "0,5"},
        {"40,3", "40,3", "40,2", "40,2", "40,40"}};
    const char *const *spec = specs[i % COUNT(specs)];
    wg_tensor in[5] = {x_in(s, spec[0]), x_in(s, spec[1]), x_in(s, spec[2]), x_in(s, spec[3])};
    if (i % 2) in[4] = x_bool(s, spec[4]);
    wg__attention_attr attr = {.scale = 0.5, .causal = i / 2 % 2, .window = i / 4 % 3 - 1};
    return wg_record(op_named("attention_grad"), in, 5, &attr, sizeof attr);
}

/* Products that skip what is masked; dots: the second operand is transposed. */
static wg_tensor make_masked(sampler *s, const op_samples *row, int i)
{
    static const char *const specs[][4] = {{"3,4", "4,2", "5,4", "3,4"},
                                           {"1,1", "1,1", "1,1", "1,1"},
                                           {"2,3,4", "2,4,3", "2,5,4", "2,3,4"},
                                           {"3,4 t", "4,2 f", "5,4 s", "3,4 p"},
                                           {"2,2,3,4", "2,2,4,1", "2,2,1,4", "2,2,3,4 t"},
                                           {"0,4", "4,2", "5,4", "0,4"},
                                           {"3,0", "0,2", "5,0", "3,0"},
                                           {"70,5", "5,3", "6,5", "70,5"},
                                           {"2,3,4 b", "2,4,3 e", "2,5,4 o", "2,3,4"},
                                           {"65,33", "33,17", "20,33", "65,33 t"}};
    static const char *const pairs[] = {"3,5", "1,1", "2,3,5", "3,5 t", "2,2,3,1",
                                        "0,5", "3,5", "70,6",  "2,3,5", "65,20"};
    const char *const *spec = specs[i % 10];
    bool of_dots = row->op == 1;
    wg_tensor in[] = {x_in(s, spec[0]), WG_NONE, WG_NONE};
    in[1] = x_in(s, spec[of_dots ? 2 : 1]);
    in[2] = x_bool(s, of_dots ? pairs[i % 10] : spec[3]);
    wg_tensor zero = wg_zeros(s->tape, s->dtype, WG_SCALAR);
    wg__masked_attr attr = {.transposed = i >= 10};
    if (of_dots) return wg_where(in[2], wg_record(op_named(row->name), in, 3, NULL, 0), zero);
    in[0] = wg_where(in[2], in[0], zero);
    return wg_record(op_named(row->name), in, 3, &attr, sizeof attr);
}

static wg_tensor bad_attention(sampler *s, const op_samples *row, int i)
{
    static const struct {
        wg_status status;
        const char *words, *q, *k, *v;
    } all[] = {{WG_ERR_SHAPE, "attention|[3, 4]|[5, 3]|last sizes", "3,4", "5,3", "5,2"},
               {WG_ERR_SHAPE, "attention|[5, 2]|[..., 6, size]", "3,4", "6,4", "5,2"},
               {WG_ERR_SHAPE, "attention|[4]|q", "4", "5,4", "5,2"},
               {WG_ERR_SHAPE, "attention|[]|k", "3,4", "", "5,2"},
               {WG_ERR_SHAPE, "attention|[5]|v", "3,4", "5,4", "5"},
               {WG_ERR_SHAPE, "attention|[2, 3, 4]|[3, 5, 4]|leading", "2,3,4", "3,5,4", "5,2"},
               {WG_ERR_SHAPE, "attention|v|leading", "2,3,4", "2,5,4", "3,5,2"},
               {WG_ERR_SHAPE, "attention|v|leading", "2,4,4", "2,4,4", "3,4,2"}};
    wg_attention_options o = wg_attention_defaults();
    if (i < COUNT(all)) {
        o.causal = i == COUNT(all) - 1; /* the product is another with a mask */
        expect(s, all[i].status, all[i].words);
        return wg_attention(x_in(s, all[i].q), x_in(s, all[i].k), x_in(s, all[i].v), o);
    }
    wg_tensor q = x_in(s, "3,4"), k = x_in(s, "5,4"), v = x_in(s, "5,2");
    switch (i - COUNT(all)) {
    case 0: expect(s, WG_ERR_SHAPE, "attention|mask [5, 3]|[3, 5]"), o.mask = x_bool(s, "5,3"); break;
    case 1: expect(s, WG_ERR_SHAPE, "attention|mask [2, 3, 5]|[3, 5]"), o.mask = x_bool(s, "2,3,5"); break;
    case 2: expect(s, WG_ERR_SHAPE, "attention|bias [4]|[3, 5]"), o.bias = x_in(s, "4"); break;
    case 3: expect(s, WG_ERR_DTYPE, "attention|mask|bool"), o.mask = x_in(s, "3,5"); break;
    case 4: expect(s, WG_ERR_DTYPE, "attention|q|i32"), q = x_i32(s, "3,4", 0, 2); break;
    case 5: expect(s, WG_ERR_ARGUMENT, "attention|scale"), o.scale = HUGE_VAL; break;
    default: expect(s, WG_ERR_ARGUMENT, "attention|dropout"), o.dropout = -1; break;
    }
    return wg_attention(q, k, v, o);
}

#define PRODUCT(text, number, samples, given)                                                                      \
    {                                                                                                              \
        .name = text, .op = number, .flags = SAMPLE_SMOOTH | (given), .n = samples, .make = make_product,          \
        .n_bad = 9, .bad = bad_product                                                                             \
    }

const op_samples samples_product[] = {
    PRODUCT("matmul", MATMUL, COUNT(matmuls), SAMPLE_OTHER_NAME),
    PRODUCT("linear", LINEAR, COUNT(linears), 0),
    PRODUCT("dot", DOT, COUNT(dots), SAMPLE_OTHER_NAME),
    PRODUCT("outer", OUTER, COUNT(outers), SAMPLE_OTHER_NAME),
    {.name = "matmul", .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME, .n = 24, .make = make_shared},
    {.name = "attention",
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
     .n = COUNT(attentions),
     .make = make_attention,
     .n_bad = 15,
     .bad = bad_attention},
    {.name = "attention_grad",
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME | SAMPLE_NO_SPOIL,
     .n = 28,
     .make = make_attention_grad},
    {.name = "masked_product",
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME | SAMPLE_NO_SPOIL,
     .n = 20,
     .make = make_masked},
    {.name = "masked_dots",
     .op = 1,
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME | SAMPLE_NO_SPOIL,
     .n = 20,
     .make = make_masked},
    {0}};
