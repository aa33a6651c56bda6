/* Models in memory, for tests of onnx/. */
#ifndef TEST_ONNX_H
#define TEST_ONNX_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* The path of a file in memory with these bytes; overwritten by the next call. */
static inline const char *as_model(const void *bytes, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) fd = memfd_create("onnx", 0);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size) return NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

/* Reads a file; returns its size, at most `room`. */
static inline size_t read_all(const char *path, void *bytes, size_t room)
{
    FILE *file = fopen(path, "rb");
    const size_t size = file ? fread(bytes, 1, room, file) : 0;
    if (file) fclose(file);
    return size;
}

#endif
