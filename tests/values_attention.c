/* Values of attention and its gradients: loops over every query and key. */
#include "values_tests.h"

static array q, k, v, bias, mask, g, want, weights, part[3];

/* weights[b, i, j]: softmax over the keys that query i sees; all 0 if there is none. */
static void fill_weights(const wg_attention_options *o, int64_t B, int64_t Tq, int64_t Tk, int64_t d)
{
    double scale = o->scale < 0 ? 1 / sqrt((double)d) : o->scale;
    bool masked = o->mask.tape, biased = o->bias.tape;
    shape_set(&weights, WG_DIMS(B, Tq, Tk));
    for (int64_t line = 0; line < B * Tq; line++) {
        int64_t b = line / Tq, i = line % Tq;
        double *p = weights.x + line * Tk, sum = 0;
        for (int64_t j = 0; j < Tk; j++) {
            double score = 0;
            for (int64_t e = 0; e < d; e++) score += q.x[(b * Tq + i) * d + e] * k.x[(b * Tk + j) * d + e];
            bool seen = (!o->causal || j <= i) && (o->window < 0 || llabs(i - j) <= o->window) &&
                        (!masked || mask.x[i * Tk + j] != 0);
            p[j] = seen ? exp(scale * score + (biased ? bias.x[i * Tk + j] : 0)) : 0;
            sum += p[j];
        }
        for (int64_t j = 0; j < Tk; j++) p[j] = sum > 0 ? p[j] / sum : 0;
    }
}

static double dot(const double *a, const double *b, int64_t n);

/* The scaled products of queries and keys, 0 where masked; weights are those of the same pairs. */
static void fill_scores(const wg_attention_options *o, int64_t B, int64_t Tq, int64_t Tk, int64_t d, wg_tensor got)
{
    static array scores;
    double scale = o->scale < 0 ? 1 / sqrt((double)d) : o->scale;
    shape_set(&scores, WG_DIMS(B, Tq, Tk));
    for (int64_t i = 0; i < scores.n; i++) {
        int64_t line = i / Tk, key = line / Tq * Tk + i % Tk;
        scores.x[i] = weights.x[i] > 0 ? scale * dot(q.x + line * d, k.x + key * d, d) : 0;
    }
    expect_values("masked_dots", got, &scores);
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* With dp_ij = g_i . v_j and ds = scale p (dp - sum p dp): dq_i = sum ds_ij k_j, dk_j = sum ds_ij q_i, dv_j = sum p_ij
 * g_i. */
static void fill_gradients(double scale, int64_t B, int64_t Tq, int64_t Tk, int64_t d, int64_t dv)
{
    const array *like[3] = {&q, &k, &v};
    for (int n = 0; n < 3; n++) {
        shape_set(&part[n], like[n]->shape);
        for (int64_t i = 0; i < part[n].n; i++) part[n].x[i] = 0;
    }
    for (int64_t line = 0; line < B * Tq; line++) {
        int64_t b = line / Tq;
        const double *p = weights.x + line * Tk, *grad = g.x + line * dv;
        double mean = 0;
        for (int64_t j = 0; j < Tk; j++) mean += p[j] * dot(grad, v.x + (b * Tk + j) * dv, dv);
        for (int64_t j = 0; j < Tk; j++) {
            double ds = scale * p[j] * (dot(grad, v.x + (b * Tk + j) * dv, dv) - mean);
            for (int64_t e = 0; e < d; e++) {
                part[0].x[line * d + e] += ds * k.x[(b * Tk + j) * d + e];
                part[1].x[(b * Tk + j) * d + e] += ds * q.x[line * d + e];
            }
            for (int64_t e = 0; e < dv; e++) part[2].x[(b * Tk + j) * dv + e] += p[j] * grad[e];
        }
    }
}

void attention(void)
{
    int64_t B = 1 + draw(2), Tq = 1 + draw(5), Tk = 1 + draw(5), d = 1 + draw(4), dv = 1 + draw(4);
    wg_attention_options o = wg_attention_defaults();
    fill_random(&q, WG_DIMS(B, Tq, d));
    fill_random(&k, WG_DIMS(B, Tk, d));
    fill_random(&v, WG_DIMS(B, Tk, dv));
    fill_random(&g, WG_DIMS(B, Tq, dv));
    fill_random(&bias, WG_DIMS(Tq, Tk));
    fill_whole(&mask, WG_DIMS(Tq, Tk), 3);
    o.causal = draw(2);
    if (draw(3) == 0) o.window = draw(3);
    if (draw(2)) o.scale = 0.3;
    if (draw(2)) o.mask = leaf(&mask, WG_BOOL);
    if (draw(3) == 0) o.bias = leaf(&bias, WG_F64);
    fill_weights(&o, B, Tq, Tk, d);
    shape_set(&want, g.shape);
    for (int64_t i = 0; i < want.n; i++) {
        want.x[i] = 0;
        for (int64_t j = 0; j < Tk; j++)
            want.x[i] += weights.x[i / dv * Tk + j] * v.x[(i / dv / Tq * Tk + j) * dv + i % dv];
    }
    fill_gradients(o.scale < 0 ? 1 / sqrt((double)d) : o.scale, B, Tq, Tk, d, dv);
    wg_tensor tq = strided(&q), tk = strided(&k), tv = strided(&v), grad = strided(&g);
    wg_tensor y = wg_attention(tq, tk, tv, o);
    expect_values("attention", y, &want);
    wg_tensor w = wg_attention_weights(tq, tk, o);
    expect_values("attention_weights", w, &weights);
    expect_values("attention_values", wg_attention_values(w, tv, o), &want);
    if (o.causal || o.window >= 0 || o.mask.tape) fill_scores(&o, B, Tq, Tk, d, node_of("masked_dots", y));
    expect_values("gradient by the queries", wg_grad1(y, tq, grad), &part[0]);
    expect_values("gradient by the keys", wg_grad1(y, tk, grad), &part[1]);
    expect_values("gradient by the values", wg_grad1(y, tv, grad), &part[2]);
    if (o.bias.tape) return; /* written out */
    wg_tensor all = node_of("attention_grad", y);
    shape_set(&want, WG_DIMS(q.n + k.n + v.n));
    for (int64_t i = 0; i < want.n; i++)
        want.x[i] = i < q.n ? part[0].x[i] : i < q.n + k.n ? part[1].x[i - q.n] : part[2].x[i - q.n - k.n];
    expect_values("attention_grad", all, &want);
}
