/* The peer of tokens.exs: for each {packet,4} frame `<<id::64, count::32>>` on fd 3 it writes `count` frames on fd 4, one
 * write each, `<<id::64, "a token"::binary>>`.
 *
 * Made by scripts/bench with cc -O2. Ends with its input.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { IN = 3, OUT = 4, REQUEST = 4 + 8 + 4 };

static int all(ssize_t (*move)(int, void *, size_t), int fd, unsigned char *bytes, size_t length) {
    while (length > 0) {
        ssize_t moved = move(fd, bytes, length);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) return -1;
        bytes += moved;
        length -= (size_t)moved;
    }
    return 0;
}

static ssize_t put(int fd, void *bytes, size_t length) { return write(fd, bytes, length); }

int main(void) {
    unsigned char request[REQUEST];
    unsigned char frame[] = "\0\0\0\017" "12345678" "a token";
    while (all(read, IN, request, sizeof request) == 0) {
        uint32_t count = (uint32_t)request[12] << 24 | (uint32_t)request[13] << 16 | (uint32_t)request[14] << 8 | request[15];
        memcpy(frame + 4, request + 4, 8);
        while (count-- > 0)
            if (all(put, OUT, frame, sizeof frame - 1)) return 1;
    }
    return 0;
}
