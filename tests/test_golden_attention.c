/* Attention and transformers against PyTorch: see golden.h. */
#include "golden.h"

/* Sets the first n parameters of the set, which are the layer's, or compares their gradients. */
static void each_param(run *r, size_t n, bool gradients)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = wg_params_name_at(r->set, i);
        if (gradients)
            compare_grad(r, name, wg_params_at(r->set, i));
        else
            set_param(r, wg_params_at(r->set, i), name);
    }
    CHECK(n > 0);
}

static wg_param *input_if(run *r, const char *what)
{
    wg_entry entry;
    return find(r, what, &entry) ? input(r, what) : NULL;
}

static wg_tensor padding_mask(run *r, int64_t size)
{
    wg_entry entry;
    return find(r, "lengths", &entry) ? wg_key_mask(constant(r, "lengths"), size) : WG_NONE;
}

static void test_mha(run *r, const void *options)
{
    const wg_shape q_shape = need(r, "q").shape;
    wg_entry entry;
    wg_mha mha;
    wg_mha_options o = wg_mha_defaults();
    o.bias = find(r, "in_proj_bias", &entry);
    if (find(r, "k_proj_weight", &entry)) o.key_size = entry.shape.size[1];
    if (find(r, "v_proj_weight", &entry)) o.value_size = entry.shape.size[1];
    if (wg_mha_init(&mha, r->set, "", q_shape.size[2], 2, o) != WG_OK) exit(2);
    const size_t n = wg_params_count(r->set);
    each_param(r, n, false);
    wg_param *q = input(r, "q"), *k = input_if(r, "k"), *v = input_if(r, "v");
    wg_tensor uq = wg_use(r->tape, q), uk = k ? wg_use(r->tape, k) : uq, uv = v ? wg_use(r->tape, v) : uq, weights;
    wg_attention_options a = wg_attention_defaults();
    a.causal = strcmp(r->name, "mha_causal") == 0 || strcmp(r->name, "mha_both") == 0;
    a.mask = padding_mask(r, wg_size(uk, 1));
    wg_tensor out = wg_keep(wg_mha_apply(&mha, uq, uk, uv, a, &weights));
    backward(r, wg_add(weighted(r, "out", out), weighted(r, "weights", weights)));
    compare(r, "out", wg_value(out));
    compare(r, "weights", wg_value(weights));
    each_param(r, n, true);
    compare_grad(r, "q", q);
    if (k) compare_grad(r, "k", k);
    if (v) compare_grad(r, "v", v);
    wg_tensor alone = wg_mha_apply(&mha, wg_use(r->tape, q), k ? wg_use(r->tape, k) : wg_use(r->tape, q),
                                   v ? wg_use(r->tape, v) : wg_use(r->tape, q), a, NULL);
    compare(r, "out", wg_value(alone));
}

static wg_transformer_options options_by_name(const char *name)
{
    wg_transformer_options o = wg_transformer_defaults();
    o.heads = 2;
    o.feedforward = 7;
    o.activation = strstr(name, "relu") ? WG_ACTIVATION_RELU : WG_ACTIVATION_GELU;
    o.norm_first = strstr(name, "first");
    return o;
}

static void test_transformer_layer(run *r, const void *options)
{
    const bool decoder = strncmp(r->name, "decoder", 7) == 0;
    wg_transformer_layer layer;
    if (wg_transformer_layer_init(&layer, r->set, "", need(r, "x").shape.size[2], decoder,
                                  options_by_name(r->name)) != WG_OK)
        exit(2);
    const size_t n = wg_params_count(r->set);
    each_param(r, n, false);
    wg_param *x = input(r, "x"), *memory = input_if(r, "memory");
    wg_attention_options self = wg_attention_defaults(), over = wg_attention_defaults();
    self.causal = decoder;
    *(decoder ? &over.mask : &self.mask) = padding_mask(r, need(r, decoder ? "memory" : "x").shape.size[1]);
    wg_tensor out = wg_keep(wg_transformer_layer_apply(&layer, wg_use(r->tape, x), self,
                                                       memory ? wg_use(r->tape, memory) : WG_NONE, over));
    backward(r, weighted(r, "out", out));
    compare(r, "out", wg_value(out));
    each_param(r, n, true);
    compare_grad(r, "x", x);
    if (memory) compare_grad(r, "memory", memory);
}

static void test_transformer(run *r, const void *options)
{
    wg_transformer model;
    if (wg_transformer_init(&model, r->set, "", need(r, "x").shape.size[2], 2, 2, options_by_name(r->name)) !=
        WG_OK)
        exit(2);
    const size_t n = wg_params_count(r->set);
    each_param(r, n, false);
    wg_param *x = input(r, "x"), *source = input(r, "source");
    wg_tensor out = wg_keep(wg_transformer_apply(&model, wg_use(r->tape, source), wg_use(r->tape, x),
                                                 padding_mask(r, need(r, "source").shape.size[1])));
    backward(r, weighted(r, "out", out));
    compare(r, "out", wg_value(out));
    each_param(r, n, true);
    compare_grad(r, "x", x);
    compare_grad(r, "source", source);
}

static void attention(void)
{
    wg_safetensors *file = golden_open("attention");
    const char *mha[] = {"mha_self", "mha_causal", "mha_cross",  "mha_padding",
                         "mha_both", "mha_sizes",  "mha_no_bias"};
    const char *layers[] = {"relu_after", "gelu_after", "relu_first", "gelu_first"};
    for (size_t i = 0; i < sizeof mha / sizeof *mha; i++) both(file, mha[i], NULL, test_mha);
    for (size_t i = 0; i < 8; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_%s", i < 4 ? "encoder" : "decoder", layers[i % 4]);
        both(file, name, NULL, test_transformer_layer);
    }
    both(file, "model_after", NULL, test_transformer);
    both(file, "model_first", NULL, test_transformer);
    wg_safetensors_close(file);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(attention)};
    return RUN_TESTS(tests);
}
