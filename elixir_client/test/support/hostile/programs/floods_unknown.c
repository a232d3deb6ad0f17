/* Sends valid chunks for a demand that nobody made, as fast as the pipe takes them, and reads nothing. */
#include "hostile.h"

int main(void) {
  ready();
  answer_open();
  await_go();
  flood(0x7FFFFFFFFFFFFFFF);
}
