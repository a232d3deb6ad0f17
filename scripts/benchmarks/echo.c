/* The peer of wire.exs and big.exs: echoes {packet,4} frames, read on fd 3 and written on fd 4, and does nothing else.
 *
 *   echo           one write for each frame
 *   echo joined    one write for all whole frames of a read
 *   echo big       reads a frame whole, and answers with one that is as long as the frame's first eight bytes say
 *
 * Made by scripts/bench with cc -O2. Ends with its input. Frames are at most CAPACITY - 4 bytes long, big ones BIG.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IN = 3, OUT = 4, CAPACITY = 64 * 1024, BIG = 65 * 1024 * 1024 };

static int write_all(const unsigned char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(OUT, bytes, length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return -1;
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

static size_t frame_length(const unsigned char *at) {
    return 4 + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | (size_t)at[3]);
}

static int read_all(unsigned char *bytes, size_t length) {
    while (length > 0) {
        ssize_t got = read(IN, bytes, length);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return -1;
        bytes += got;
        length -= (size_t)got;
    }
    return 0;
}

static int big(void) {
    unsigned char *frame = calloc(1, BIG);
    if (frame == NULL) return 1;
    while (read_all(frame, 4) == 0) {
        size_t length = frame_length(frame) - 4, answer = 0;
        if (length < 8 || length > BIG - 4 || read_all(frame + 4, length)) return 1;
        for (int at = 4; at < 12; at++) answer = answer << 8 | frame[at];
        if (answer > BIG - 4) return 1;
        for (int at = 0; at < 4; at++) frame[at] = (unsigned char)(answer >> (24 - 8 * at));
        if (write_all(frame, answer + 4)) return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    static unsigned char buffer[CAPACITY];
    if (argc > 1 && strcmp(argv[1], "big") == 0) return big();
    int joined = argc > 1 && strcmp(argv[1], "joined") == 0;
    size_t filled = 0;
    for (;;) {
        ssize_t got = read(IN, buffer + filled, CAPACITY - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0;
        filled += (size_t)got;
        size_t whole = 0;
        while (filled - whole >= 4) {
            size_t length = frame_length(buffer + whole);
            if (length > CAPACITY) return 1;
            if (filled - whole < length) break;
            if (!joined && write_all(buffer + whole, length)) return 1;
            whole += length;
        }
        if (joined && whole > 0 && write_all(buffer, whole)) return 1;
        memmove(buffer, buffer + whole, filled - whole);
        filled -= whole;
    }
}
