/* Streams valid chunks to one demand, as fast as the pipe takes them, and reads nothing. */
#include "hostile.h"

int main(void) {
  ready();
  answer_open();
  flood(await_go());
}
