/* Ignores every signal that can be ignored and, once it is demanded of, the end of its pipe and all that is said. */
#include "hostile.h"

int main(void) {
  for (int signal_number = 1; signal_number < 32; signal_number++) signal(signal_number, SIG_IGN);
  ready();
  answer_open();
  await_go();
  for (;;) pause();
}
