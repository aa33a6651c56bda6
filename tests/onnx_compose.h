/* ONNX models, composed field by field. */
#ifndef ONNX_COMPOSE_H
#define ONNX_COMPOSE_H

#include <string.h>

#include "../io/proto.h"

static inline void put_text(wg__bytes *b, int field, const char *text)
{
    wg__proto_bytes(b, field, text, strlen(text));
}

/* Appends the message as a field, and frees it. */
static inline void put_message(wg__bytes *b, int field, wg__bytes *message)
{
    wg__proto_bytes(b, field, message->data, message->size);
    wg__bytes_fini(message);
}

/* The model of this GraphProto, which is freed. */
static inline wg__bytes model_of(wg__bytes *graph, int opset)
{
    wg__bytes model = {0}, set = {0};
    wg__proto_integer(&model, 1, 8);
    put_message(&model, 7, graph);
    wg__proto_integer(&set, 2, (uint64_t)opset);
    put_message(&model, 8, &set);
    return model;
}

#endif
