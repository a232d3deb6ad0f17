/* What the hostile programs in C have in common: just enough of the wire to get ready and to be demanded of.
   Compiled by the tests; a pipe that ends is the end, except for who ignores it. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char frame[1 << 20];

static inline void all(int out, unsigned char *at, size_t left) {
  while (left > 0) {
    ssize_t done = out ? write(4, at, left) : read(3, at, left);
    if (done <= 0) _exit(0);
    at += done, left -= (size_t)done;
  }
}

/* The next frame, up to its length; a frame of the BEAM is shorter than ours may be. */
static inline size_t next_frame(void) {
  unsigned char head[4];
  all(0, head, 4);
  size_t length = (size_t)head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
  if (length > sizeof frame) _exit(1);
  all(0, frame, length);
  return length;
}

/* The integer at a place of the frame, whatever its width. */
static inline uint64_t integer(const unsigned char *at) {
  if (*at < 0x80) return *at;
  uint64_t value = 0;
  for (int n = 1 << (*at - 0xCC), i = 1; i <= n; i++) value = value << 8 | at[i];
  return value;
}

static inline void put64(unsigned char *at, uint64_t value) {
  *at = 0xCF;
  for (int i = 8; i > 0; i--, value >>= 8) at[i] = (unsigned char)value;
}

static inline void send_frame(unsigned char *payload, size_t length) {
  unsigned char head[4] = {(unsigned char)(length >> 24), (unsigned char)(length >> 16), (unsigned char)(length >> 8),
                           (unsigned char)length};
  all(1, head, 4);
  all(1, payload, length);
}

static inline void ready(void) {
  unsigned char text[] = "\x92\xa5ready\x82\xa8protocol\x01\xa6os_pid\xcf........";
  next_frame();
  put64(text + sizeof text - 10, (uint64_t)getpid());
  send_frame(text, sizeof text - 1);
}

static inline void answer_open(void) {
  unsigned char text[] = "\x93\xa5reply\xcf........\x80";
  do next_frame(); while (memcmp(frame + 1, "\xa4open", 5) != 0); /* 95 a4 open, then the request's number */
  put64(text + 7, integer(frame + 6));
  send_frame(text, sizeof text - 1);
}

/* Reads until "go" is demanded, and gives the number of that demand. */
static inline uint64_t await_go(void) {
  for (;;) {
    size_t length = next_frame(); /* 95 ac demand_async cf demand cf session a2 go */
    if (length > 35 && memcmp(frame + 1, "\xac" "demand_async", 13) == 0 && memcmp(frame + 32, "\xa2go", 3) == 0)
      return integer(frame + 14);
  }
}

/* Batches of 1,000 chunks, for ever. */
static inline void flood(uint64_t demand) {
  static unsigned char batch[3 + 1000 * 40];
  size_t length = 3;
  memcpy(batch, "\xdc\x03\xe8", 3);
  for (int i = 0; i < 1000; i++) {
    memcpy(batch + length, "\x95\xabnode_stream\xcf........\xa2go\xa4text\xa5token", 36);
    put64(batch + length + 13, demand);
    length += 36;
  }
  for (;;) send_frame(batch, length);
}
