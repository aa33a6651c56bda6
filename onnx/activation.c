/* The table of activations. */
#include "activation.h"

#include <math.h>

static wg_tensor apply_tanh(wg_tensor x, double a, double b) { return wg_tanh(x); }
static wg_tensor apply_sigmoid(wg_tensor x, double a, double b) { return wg_sigmoid(x); }
static wg_tensor apply_relu(wg_tensor x, double a, double b) { return wg_relu(x); }
static wg_tensor apply_leaky_relu(wg_tensor x, double a, double b) { return wg_leaky_relu(x, a); }
static wg_tensor apply_elu(wg_tensor x, double a, double b) { return wg_elu(x, a); }
static wg_tensor apply_softplus(wg_tensor x, double a, double b) { return wg_softplus(x); }
static wg_tensor apply_softsign(wg_tensor x, double a, double b) { return wg_div(x, wg_add_scalar(wg_abs(x), 1)); }
static wg_tensor apply_affine(wg_tensor x, double a, double b) { return wg_add_scalar(wg_scale(x, a), b); }
static wg_tensor apply_scaled_tanh(wg_tensor x, double a, double b) { return wg_scale(wg_tanh(wg_scale(x, b)), a); }
static wg_tensor apply_hard_sigmoid(wg_tensor x, double a, double b)
{
    return wg_clamp(wg_add_scalar(wg_scale(x, a), b), 0, 1);
}

static const wg__activation activations[] = {
    {"Tanh", 0, 0, 0, apply_tanh},
    {"Sigmoid", 0, 0, 0, apply_sigmoid},
    {"Relu", 0, 0, 0, apply_relu},
    {"Softsign", 0, 0, 0, apply_softsign},
    {"Softplus", 0, 0, 0, apply_softplus},
    {"Elu", 1, 1, 0, apply_elu},
    {"LeakyRelu", 1, 0.01, 0, apply_leaky_relu},
    {"HardSigmoid", 2, 0.2, 0.5, apply_hard_sigmoid},
    {"Affine", 2, 1, 0, apply_affine},
    {"ScaledTanh", 2, 1, 1, apply_scaled_tanh},
};
enum { N_ACTIVATIONS = sizeof activations / sizeof activations[0] };

bool wg__activation_find(wg__span name, wg__activation *activation)
{
    for (int i = 0; i < N_ACTIVATIONS; i++) {
        if (!wg__span_is(name, activations[i].name)) continue;
        *activation = activations[i];
        return true;
    }
    return false;
}

/* ---- of fused nodes ---- */

static wg_tensor apply_identity(wg_tensor x, double a, double b) { return x; }
static wg_tensor apply_clip(wg_tensor x, double least, double most)
{
    return wg_minimum_scalar(wg_maximum_scalar(x, least), most);
}

/* Convolutions have their numbers in one list, products in attributes of their own. */
bool wg__activation_of(const wg__onnx_node *node, wg__activation *activation)
{
    wg__attribute a;
    double number[2];
    *activation = (wg__activation){"", 0, 0, 0, apply_identity};
    if (!wg__attribute_find(node, "activation", &a) || !a.text.size) return true;
    if (wg__span_is(a.text, "Clip"))
        *activation = (wg__activation){"Clip", 2, -INFINITY, INFINITY, apply_clip};
    else if (!wg__activation_find(a.text, activation))
        return false;
    const int n = wg__attribute_floats(node, "activation_params", number, 2);
    if (n > 2) return false;
    activation->alpha = n > 0 ? number[0] : wg__attribute_float(node, "activation_alpha", activation->alpha);
    activation->beta = n > 1 ? number[1] : wg__attribute_float(node, "activation_beta", activation->beta);
    return true;
}

const char *wg__refuse_activation(const wg__onnx_node *node)
{
    wg__activation activation;
    return wg__activation_of(node, &activation) ? NULL
                                                : "its activation is not known: export without fused operators";
}

wg_tensor wg__activate(const wg__call *c, wg_tensor x)
{
    wg__activation activation;
    wg__activation_of(c->node, &activation);
    return activation.apply(x, activation.alpha, activation.beta);
}
