/* Text files: reading, mapping, UTF-8 validation. */
#include "file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Reads to the end with a growing buffer, because the size of a pipe or a gzipped file is not known. */
static wg_status read_to_end(wg__reader *reader, wg_text *text, wg_error *error)
{
    size_t capacity = 1 << 16, got = 0;
    if (reader->file_size >= capacity && reader->file_size < SIZE_MAX / 4) capacity = (size_t)reader->file_size + 2;
    for (;;) {
        char *grown = realloc(text->bytes, capacity);
        if (!grown) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", reader->path);
        text->bytes = grown;
        wg_status status =
            wg__reader_read(reader, text->bytes + text->size, capacity - 1 - text->size, &got, error);
        if (status != WG_OK) return status;
        text->size += got;
        text->bytes[text->size] = 0;
        if (text->size < capacity - 1) return WG_OK;
        if (capacity > SIZE_MAX / 2)
            return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", reader->path);
        capacity *= 2;
    }
}

static wg_status check_text(const wg_text *text, const char *path, wg_error *error)
{
    size_t bad = wg__utf8_error(text->bytes, text->size);
    for (size_t i = 0; i < bad; i++) {
        unsigned char c = (unsigned char)text->bytes[i];
        if (c == 127 || (c < 32 && c != '\t' && c != '\n' && c != '\f' && c != '\r')) bad = i;
    }
    if (bad == text->size) return WG_OK;
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "not a text file: byte 0x%02x at offset %zu", path,
                        (unsigned char)text->bytes[bad], bad);
}

wg_status wg_text_read(const char *path, wg_text *text, wg_error *error)
{
    *text = (wg_text){0};
    wg__reader reader;
    wg_status status = wg__reader_open(&reader, path, error);
    if (status != WG_OK) return status;
    status = read_to_end(&reader, text, error);
    if (status == WG_OK) status = check_text(text, path, error);
    wg__reader_close(&reader);
    if (status != WG_OK) wg_text_fini(text);
    return status;
}

/* Maps a plain file; returns an unmapped text if it is a pipe, gzipped or empty, or if mmap fails. */
static wg_text map_plain(const char *path)
{
    wg_text text = {0};
    wg__reader reader;
    struct stat info;
    if (!path || stat(path, &info) != 0 || !S_ISREG(info.st_mode) ||
        wg__reader_open_plain(&reader, path, NULL) != WG_OK)
        return text;
    size_t size = reader.file_size <= SIZE_MAX ? (size_t)reader.file_size : 0;
    void *bytes = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, reader.fd, 0) : MAP_FAILED;
    wg__reader_close(&reader);
    if (bytes == MAP_FAILED) return text;
    text = (wg_text){.bytes = bytes, .size = size, .mapped = true};
    if (size >= 2 && !memcmp(bytes, "\x1f\x8b", 2)) wg_text_fini(&text);
    return text;
}

wg_status wg_text_map(const char *path, wg_text *text, wg_error *error)
{
    *text = map_plain(path);
    if (!text->mapped) return wg_text_read(path, text, error);
    wg_status status = check_text(text, path, error);
    if (status != WG_OK) wg_text_fini(text);
    return status;
}

void wg_text_fini(wg_text *text)
{
    if (!text) return;
    if (text->mapped)
        munmap(text->bytes, text->size);
    else
        free(text->bytes);
    *text = (wg_text){0};
}
