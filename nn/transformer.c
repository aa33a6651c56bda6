/* Transformers: layers, stacks, models. Incremental decoding is in transformer_step.c. */
#include "transformer.h"

#include <math.h>
#include <stdio.h>

#include "internal.h"

/* A longer name is truncated here; wg__layer_param rejects it once a member's name is appended. */
typedef struct long_name {
    char text[512];
} long_name;

static long_name join(const char *name, const char *part)
{
    long_name joined;
    const bool named = name && name[0];
    snprintf(joined.text, sizeof joined.text, "%s%s%s", named ? name : "", named ? "." : "", part);
    return joined;
}

/* ---- one layer ---- */

wg_transformer_options wg_transformer_defaults(void)
{
    return (wg_transformer_options){.heads = 1, .bias = true, .epsilon = 1e-5};
}

/* Why the options are invalid; NULL if they are valid. */
static const char *invalid_reason(const wg_transformer_options *o, int64_t size)
{
    if (size < 1 || o->heads < 1 || size % o->heads != 0) return "the size must be a multiple of the heads";
    if (o->feedforward < 0 || size > INT64_MAX / 4) return "sizes are out of range";
    if (o->activation < WG_ACTIVATION_RELU || o->activation > WG_ACTIVATION_GELU_TANH)
        return "activation is not a wg_activation";
    if (!(o->dropout >= 0 && o->dropout < 1)) return "dropout must be in [0, 1)";
    if (!(o->epsilon >= 0)) return "epsilon must not be negative";
    return NULL;
}

static void mha_init(wg_mha *mha, wg_params *set, const char *name, const char *part, int64_t size,
                     const wg_transformer_options *o)
{
    wg_mha_options options = wg_mha_defaults();
    options.bias = o->bias;
    options.dropout = o->dropout;
    options.in_init = o->init;
    options.out_init = o->last_init;
    wg_mha_init(mha, set, join(name, part).text, size, o->heads, options);
}

static void linear_init(wg_linear_layer *linear, wg_params *set, const char *name, const char *part, int64_t in,
                        int64_t out, const wg_init *init, bool bias)
{
    const wg_init zeros = wg_init_zeros();
    wg_linear_options options = wg_linear_defaults();
    options.bias = bias;
    options.weight_init = init;
    options.bias_init = init ? &zeros : NULL;
    wg_linear_init(linear, set, join(name, part).text, in, out, options);
}

static void norm_init(wg_layer_norm_layer *norm, wg_params *set, const char *name, const char *part, int64_t size,
                      const wg_transformer_options *o)
{
    const long_name full = join(name, part);
    *norm = (wg_layer_norm_layer){.epsilon = o->epsilon};
    norm->weight = wg__layer_param(set, full.text, "weight", WG_DIMS(size), wg_init_constant(1));
    if (o->bias) norm->bias = wg__layer_param(set, full.text, "bias", WG_DIMS(size), wg_init_zeros());
}

wg_status wg_transformer_layer_init(wg_transformer_layer *layer, wg_params *set, const char *name, int64_t size,
                                    bool decoder, wg_transformer_options options)
{
    if (!layer) return wg__null_init(set, "transformer", name);
    *layer = (wg_transformer_layer){0};
    const char *reason = invalid_reason(&options, size);
    if (reason) return wg_params_fail(set, WG_ERR_ARGUMENT, "transformer %s: %s", name ? name : "", reason);
    if (options.feedforward == 0) options.feedforward = 4 * size;
    if (!options.last_init) options.last_init = options.init;
    *layer = (wg_transformer_layer){.options = options, .decoder = decoder, .size = size};
    const wg_transformer_options *o = &options;
    mha_init(&layer->self_attn, set, name, "self_attn", size, o);
    if (decoder) mha_init(&layer->multihead_attn, set, name, "multihead_attn", size, o);
    linear_init(&layer->linear1, set, name, "linear1", size, o->feedforward, o->init, o->bias);
    linear_init(&layer->linear2, set, name, "linear2", o->feedforward, size, o->last_init, o->bias);
    norm_init(&layer->norm1, set, name, "norm1", size, o);
    norm_init(&layer->norm2, set, name, "norm2", size, o);
    if (decoder) norm_init(&layer->norm3, set, name, "norm3", size, o);
    layer->options.init = layer->options.last_init = NULL; /* they may point to the caller's locals */
    layer->self_attn.options.in_init = layer->self_attn.options.out_init = NULL;
    layer->multihead_attn.options.in_init = layer->multihead_attn.options.out_init = NULL;
    return wg_params_status(set);
}

static wg_tensor dropout(const wg_transformer_layer *layer, wg_tensor x)
{
    return layer->options.dropout > 0 ? wg_dropout(x, layer->options.dropout) : x;
}

static wg_tensor activate(wg_activation activation, wg_tensor x)
{
    switch (activation) {
    case WG_ACTIVATION_GELU: return wg_gelu(x);
    case WG_ACTIVATION_GELU_TANH: return wg_gelu_tanh(x);
    default: return wg_relu(x);
    }
}

wg_tensor wg__transformer_branch_input(const wg_transformer_layer *layer, const wg_layer_norm_layer *norm,
                                       wg_tensor x)
{
    return layer->options.norm_first ? wg_layer_norm_apply(norm, x) : x;
}

wg_tensor wg__transformer_add_branch(const wg_transformer_layer *layer, const wg_layer_norm_layer *norm,
                                     wg_tensor x, wg_tensor branch)
{
    wg_tensor sum = wg_add(x, dropout(layer, branch));
    return layer->options.norm_first ? sum : wg_layer_norm_apply(norm, sum);
}

wg_tensor wg__transformer_feed_forward(const wg_transformer_layer *layer, wg_tensor x)
{
    const wg_layer_norm_layer *norm = layer->decoder ? &layer->norm3 : &layer->norm2;
    wg_tensor in = wg__transformer_branch_input(layer, norm, x);
    wg_tensor hidden = activate(layer->options.activation, wg_linear_apply(&layer->linear1, in));
    wg_tensor out = wg_linear_apply(&layer->linear2, dropout(layer, hidden));
    return wg__transformer_add_branch(layer, norm, x, out);
}

wg_tensor wg_transformer_layer_apply(const wg_transformer_layer *layer, wg_tensor x, wg_attention_options self,
                                     wg_tensor memory, wg_attention_options cross)
{
    if (!layer) return wg__null_apply(x, "transformer");
    wg_tensor in = wg__transformer_branch_input(layer, &layer->norm1, x);
    x = wg__transformer_add_branch(layer, &layer->norm1, x,
                                   wg_mha_apply(&layer->self_attn, in, in, in, self, NULL));
    if (layer->decoder) {
        in = wg__transformer_branch_input(layer, &layer->norm2, x);
        wg_tensor attended = wg_mha_apply(&layer->multihead_attn, in, memory, memory, cross, NULL);
        x = wg__transformer_add_branch(layer, &layer->norm2, x, attended);
    }
    return wg__transformer_feed_forward(layer, x);
}

/* ---- a stack ---- */

wg_status wg_transformer_stack_init(wg_transformer_stack *stack, wg_params *set, const char *name, int64_t size,
                                    int layers, bool decoder, bool norm, wg_transformer_options options)
{
    if (!stack) return wg__null_init(set, "transformer", name);
    *stack = (wg_transformer_stack){0};
    if (layers < 0 || layers > WG_TRANSFORMER_MAX_LAYERS)
        return wg_params_fail(set, WG_ERR_ARGUMENT, "transformer %s: %d layers; at most %d, use two stacks",
                              name ? name : "", layers, WG_TRANSFORMER_MAX_LAYERS);
    stack->decoder = decoder;
    stack->has_norm = norm;
    stack->size = size;
    stack->dtype = wg_params_dtype(set);
    snprintf(stack->name, sizeof stack->name, "%s", name && name[0] ? name : decoder ? "decoder" : "encoder");
    for (int l = 0; l < layers; l++) {
        char part[32];
        snprintf(part, sizeof part, "layers.%d", l);
        wg_status status =
            wg_transformer_layer_init(&stack->layer[l], set, join(name, part).text, size, decoder, options);
        if (status != WG_OK) {
            *stack = (wg_transformer_stack){0}; /* no partial stack */
            return status;
        }
        stack->layers = l + 1;
    }
    if (norm) norm_init(&stack->norm, set, name, "norm", size, &options);
    return wg_params_status(set);
}

wg_tensor wg_transformer_stack_apply(const wg_transformer_stack *stack, wg_tensor x, wg_attention_options self,
                                     wg_tensor memory, wg_attention_options cross)
{
    if (!stack) return wg__null_apply(x, "transformer");
    wg_tape *tape = x.tape;
    if (stack->size == 0) return wg_fail(x, WG_ERR_ARGUMENT, "transformer", "the stack was not initialized");
    wg_scope_begin(tape, stack->name);
    for (int l = 0; l < stack->layers; l++) {
        wg__layer_scope_begin(tape, l);
        x = wg_transformer_layer_apply(&stack->layer[l], x, self, memory, cross);
        wg_scope_end(tape);
    }
    if (stack->has_norm) x = wg_layer_norm_apply(&stack->norm, x);
    wg_scope_end(tape);
    return x;
}

/* ---- encoder-decoder ---- */

wg_status wg_transformer_init(wg_transformer *model, wg_params *set, const char *name, int64_t size,
                              int encoder_layers, int decoder_layers, wg_transformer_options options)
{
    if (!model) return wg__null_init(set, "transformer", name);
    *model = (wg_transformer){0};
    wg_transformer_stack_init(&model->encoder, set, join(name, "encoder").text, size, encoder_layers, false, true,
                              options);
    return wg_transformer_stack_init(&model->decoder, set, join(name, "decoder").text, size, decoder_layers, true,
                                     true, options);
}

wg_tensor wg_transformer_apply(const wg_transformer *model, wg_tensor source, wg_tensor target,
                               wg_tensor source_mask)
{
    if (!model) return wg__null_apply(source, "transformer");
    wg_attention_options cross = wg_attention_defaults(), self = wg_attention_defaults();
    cross.mask = source_mask;
    self.causal = true;
    wg_tensor memory = wg_transformer_stack_apply(&model->encoder, source, cross, WG_NONE, wg_attention_defaults());
    return wg_transformer_stack_apply(&model->decoder, target, self, memory, cross);
}

/* ---- language model ---- */

wg_lm_options wg_lm_defaults(void)
{
    wg_lm_options options = {.layer = wg_transformer_defaults(), .position = WG_POSITION_LEARNED, .tied = true};
    options.layer.norm_first = true;
    options.layer.activation = WG_ACTIVATION_GELU;
    return options;
}

wg_status wg_lm_init(wg_lm *model, wg_params *set, const char *name, int64_t vocabulary, int64_t context,
                     int64_t size, int layers, wg_lm_options options)
{
    if (!model) return wg__null_init(set, "lm", name);
    const double deviation = 0.02;
    const wg_init init = wg_init_normal(0, deviation),
                  last = wg_init_normal(0, deviation / sqrt(2.0 * (layers > 0 ? layers : 1)));
    *model = (wg_lm){0};
    if (vocabulary < 1 || context < 1)
        return wg_params_fail(set, WG_ERR_ARGUMENT, "lm %s: vocabulary and context must be at least 1",
                              name ? name : "");
    if (!options.layer.init) options.layer.init = &init, options.layer.last_init = &last;
    model->vocabulary = vocabulary;
    model->context = context;
    model->size = size;
    model->wte = (wg_embedding_layer){
        .weight = wg__layer_param(set, name, "wte.weight", WG_DIMS(vocabulary, size), init), .padding = -1};
    wg_position_init(&model->wpe, set, join(name, "wpe").text, options.position, context, size, deviation);
    wg_transformer_stack_init(&model->stack, set, name, size, layers, false, true, options.layer);
    const long_name head = join(name, "lm_head.weight");
    model->head = options.tied ? wg_param_tie(set, head.text, model->wte.weight)
                               : wg_param_new(set, head.text, WG_DIMS(vocabulary, size), init);
    options.layer.init = options.layer.last_init = NULL;
    model->options = options;
    return wg_params_status(set);
}

wg_tensor wg_lm_apply(const wg_lm *model, wg_tensor token)
{
    if (!model) return wg__null_apply(token, "lm");
    const double p = model->options.layer.dropout;
    wg_attention_options self = wg_attention_defaults();
    self.causal = true;
    if (wg_rank(token) == 0) return wg_fail(token, WG_ERR_SHAPE, "lm", "token must have a time axis: [..., time]");
    if (wg_size(token, -1) > model->context)
        return wg_fail(token, WG_ERR_SHAPE, "lm", "%lld tokens, but the context is %lld",
                       (long long)wg_size(token, -1), (long long)model->context);
    wg_tensor x = wg_position_apply(&model->wpe, wg_embedding_apply(&model->wte, token));
    if (p > 0) x = wg_dropout(x, p);
    x = wg_transformer_stack_apply(&model->stack, x, self, WG_NONE, wg_attention_defaults());
    return wg_linear(x, wg_use(token.tape, model->head), WG_NONE);
}
