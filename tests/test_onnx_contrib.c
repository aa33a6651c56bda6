/* Operators of ONNX Runtime's domain com.microsoft, a row each: results that were computed by hand, of those that
 * onnxruntime has for GPUs alone, too; attributes and operands that are refused. (onnx_contrib.py compares more with
 * onnxruntime.) */
#include "check.h"
#include "onnx_rows.h"

#define MS "com.microsoft."

static void computed(void)
{
    static const row rows[] = {
        {MS "FusedMatMul", 14, "alpha:0.5 transB=1", "f[1 2] f[1 2]", "[1 1] 2.5"},
        {MS "FusedMatMul", 14, "transA=1", "f[2] f[2]", "[] 5"},
        {MS "FusedMatMul", 14, "transBatchA=1 transA=1", "f[2 3 2] f[3 2 2]",
         "[3 2 2] 22 30 26 36 78 90 90 104 166 182 186 204"},
        {MS "FusedMatMul", 14, "transBatchB=1", "f[1 1 2] f[2 1 1]", "[1 1 1] 5"},
        {"LayerNormalization", 17, "epsilon:0", "f[2 2] f[2 1]", "[2 2] -1 1 -2 2"},
        {MS "TransposeMatMul", 14, "transA=1", "f[2 1] f[2 1]", "[1 1] 5"},
        {MS "FusedGemm", 14, "activation='Clip' activation_alpha:1 activation_beta:4", "f[1 2] f[2 2]",
         "[1 2] 4 4"},
        {MS "FusedGemm", 14, "activation='LeakyRelu' activation_alpha:0.5 alpha:-1", "f[1 1] f[1 1]", "[1 1] -0.5"},
        {MS "FusedConv", 14, "", "f[1 1 2] f[1 1 2]", "[1 1 1] 5"},
        {MS "FusedConv", 14, "activation='Clip' activation_params:[0 7]", "f[1 1 2] f[1 1 1] f[1] f[1 1 2]",
         "[1 1 2] 3 5"},
        {MS "Gelu", 14, "", "f[2]", "[2] 0.8413447 1.9544997"},
        {MS "BiasGelu", 14, "", "f[1] f[1]", "[1] 1.9544997"},
        {MS "FastGelu", 14, "", "f[1] f[1]", "[1] 1.9545977"},
        {MS "QuickGelu", 14, "alpha:1", "f[1]", "[1] 0.7310586"},
        {MS "BiasSplitGelu", 14, "", "f[1 1 2] f[2]{0 -1}", "[1 1 1] 0.8413447"},
        {MS "BiasAdd", 14, "", "f[1 1 2] f[2] f[1 1 2]", "[1 1 2] 3 6"},
        {MS "BiasSoftmax", 14, "axis=1 is_inner_broadcast=1", "f[1 2 2] f[1 1 1]",
         "[1 2 2] 0.0320586 0.0871443 0.2368828 0.6439143"},
        {MS "SkipLayerNormalization", 14, "epsilon:0", "f[1 1 2] f[1 1 2] f[2] f[2]", "[1 1 2] 0 4"},
        {MS "SkipSimplifiedLayerNormalization", 14, "epsilon:0", "f[1 1 2] f[1 1 2] f[2]",
         "[1 1 2] 0.6324555 2.5298221"},
        {"SimplifiedLayerNormalization", 14, "epsilon:0", "f[1 2] f[2]", "[1 2] 0.6324555 2.5298221"},
        {"LayerNormalization", 11, "epsilon:0", "f[1 2] f[2] f[2]", "[1 2] 0 4"},
        {MS "EmbedLayerNormalization", 14, "epsilon:0", "i[1 1] - f[2 2] f[1 2] - f[2] f[2]", "[1 1 2] 0 4"},
        {MS "Attention", 14, "num_heads=1", "f[1 1 1] f[1 3]", "[1 1 1] 3"},
        {MS "MultiHeadAttention", 14, "num_heads=2", "f[1 1 2] f[1 1 2] f[1 1 2]", "[1 1 2] 1 2"},
        {MS "RotaryEmbedding", 14, "", "f[1 1 2] i[1 1]{1} f[2 1]{0 0} f[2 1]{0 1}", "[1 1 2] -2 1"},
        {MS "GroupQueryAttention", 14, "num_heads=2 kv_num_heads=1",
         "f[1 1 2] f[1 1 1] f[1 1 1] f[1 1 0 1]{} f[1 1 0 1]{} i[1]{0} i[]{1}", "[1 1 2] 1 1"},
    };
    RUN(rows);
}

static void refused(void)
{
    static const row rows[] = {
        {MS "FusedMatMul", 14, "", "f[2 2] f[3 2]", "inner sizes 2 and 3 differ"},
        {MS "FusedGemm", 14, "activation='Wave'", "f[2 2] f[2 2]",
         "FusedGemm (opset 14) of node 'y0' is not supported"},
        {MS "FusedConv", 14, "activation='Wave'", "f[1 1 2] f[1 1 1]", "its activation is not known"},
        {MS "FusedConv", 14, "activation='Clip' activation_params:[0 7 8]", "f[1 1 2] f[1 1 1]",
         "its activation is not known"},
        {MS "BiasGelu", 14, "", "f[2] f[3]", "[2], [3]: cannot be broadcast"},
        {MS "BiasSplitGelu", 14, "", "f[1 3] f[3]", "3 elements have no halves"},
        {MS "BiasSoftmax", 14, "axis=4", "f[2 2] f[2]", "axis 4 is not one of 2"},
        {MS "SkipLayerNormalization", 14, "", "f[1 2] f[1 3] f[2]", "[1, 2], [1, 3]: cannot be broadcast"},
        {MS "SkipLayerNormalization", 14, "", "f[1 2] f[1 2]", "has 2 operands: 3 to 5 are known"},
        {MS "EmbedLayerNormalization", 14, "", "i[1 1] - f[2 2] f[1 2] - f[2]",
         "a table of embeddings, the weight or"},
        {MS "EmbedLayerNormalization", 14, "", "i[1] - f[2 2] f[1 2] - f[2] f[2]", "the words are not [B, T]"},
        {MS "Attention", 14, "num_heads=1", "f[1 2] f[2 3]", "the input is not [B, T, size], but has 2 axes"},
        {MS "Attention", 14, "num_heads=1 qkv_hidden_sizes=[1 1 2]", "f[1 1 1] f[1 3]",
         "3 columns of the weights are"},
        {MS "Attention", 14, "num_heads=1 qkv_hidden_sizes=[1 1 1 1]", "f[1 1 1] f[1 3]",
         "3 columns of the weights are"},
        {MS "Attention", 14, "num_heads=1 qkv_hidden_sizes=[9223372036854775807 1 1]", "f[1 1 1] f[1 3]",
         "3 columns"},
        {MS "Attention", 14, "num_heads=2", "f[1 1 1] f[1 3]", "1 elements for 2 heads"},
        {MS "Attention", 14, "num_heads=1 do_rotary=1", "f[1 1 1] f[1 3]", "do_rotary = 1"},
        {MS "Attention", 14, "num_heads=1", "f[1 2 1] f[1 3] - i[5]", "a mask of 1 axes does not fit 2 keys"},
        {MS "MultiHeadAttention", 14, "num_heads=1", "f[1 1 1 3 2] f[1 1 2] f[1 1 2]", "packed ones are not known"},
        {MS "MultiHeadAttention", 14, "num_heads=1", "f[1 1 2] f[1 2 2] f[1 3 2]", "packed ones are not known"},
        {MS "RotaryEmbedding", 14, "", "f[1 1 2] i[1 1] f[2 2] f[2 2]", "4 of 2 elements are turned"},
        {MS "RotaryEmbedding", 14, "scale:2", "f[1 1 2] i[1 1] f[2 1] f[2 1]",
         "a scale: multiply the caches by it"},
        {MS "GroupQueryAttention", 14, "num_heads=1 kv_num_heads=1",
         "f[1 1 2] - - f[1 1 0 1] f[1 1 0 1] i[1]{0} i[]{1}", "packed queries, keys and values"},
        {MS "GroupQueryAttention", 14, "num_heads=1 kv_num_heads=1 do_rotary=1",
         "f[1 1 2] f[1 1 2] f[1 1 2] - - i[1]{0} i[]{1}", "do_rotary = 1 without caches"},
        {MS "GroupQueryAttention", 14, "num_heads=1 kv_num_heads=1",
         "f[1 1 2] f[1 1 2] f[1 1 2] f[1 1 1 2] f[1 1 1 2] i[1]{0} i[]{1}",
         "with 1 keys of the past, seqlens_k + 1"},
        {MS "GroupQueryAttention", 14, "num_heads=1 kv_num_heads=1 softcap:2",
         "f[1 1 2] f[1 1 2] f[1 1 2] - - i[1]{0} i[]{1}", "softcap"},
        {MS "QMoE", 14, "", "f[1]", "com.microsoft.QMoE (opset 14) of node 'y0' is not supported"},
    };
    RUN(rows);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(computed), TEST_CASE(refused)};
    return RUN_TESTS(tests);
}
