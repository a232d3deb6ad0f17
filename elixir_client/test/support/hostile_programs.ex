defmodule Graphport.HostilePrograms do
  # The table of hostile programs: what each of them must lead to. A new program is a file in
  # `test/support/hostile/programs` and a line here; a test asserts that the two agree.
  @moduledoc false

  # The engine goes on: how the demand that sets the program off ends, one that is cancelled then, and those that are
  # released at last.
  @lives [
    {"prints.py", :complete, :cancelled, :complete},
    {"floods_prints.py", :complete, :cancelled, :complete},
    {"logs_nonsense.py", :complete, :cancelled, :complete},
    {"unknown_ids.py", :complete, :cancelled, :complete},
    {"drips_whole_frames.py", :complete, :cancelled, :complete},
    {"talks_before_ready.py", :complete, :cancelled, :complete},
    {"reordered.py", :complete, :complete, :complete},
    {"answers_twice.py", :complete, :complete, :complete},
    {"answers_after_cancel.py", :complete, :complete, :complete},
    {"unknown_codes.py", :complete, :unknown, :unknown},
    {"wrong_kind_of_answer.py", :bad_message, :bad_message, :bad_message}
  ]

  # It ends, or is ended for what it said: every demand gets `engine_down`. With a part of the reason.
  @ends [
    {"exits_zero.py", "exit status 0"},
    {"crashes.py", "exit status 139"},
    {"dies_mid_frame.py", "exit status 7"},
    {"prints_on_the_wire.py", "exit status 1"},
    {"answers_another_epoch.py", "exit status 7"},
    {"over_max_frame.py", "1048577 bytes"},
    {"ready_twice.py", "ready twice"},
    {"faulty_batch.py", "pong"},
    {"credits_more_than_sent.py", "cannot have read"},
    {"credits_less_than_before.py", "cannot have read"},
    {"credits_frames_only.py", "cannot have read"},
    {"forks_and_exits.py", "left its pipe open"},
    {"closes_its_read_end.py", ""},
    {"closes_both_ends.py", ""}
  ]

  # It says nothing, or nothing that could be read: the heartbeat sees it.
  @hangs ~w(half_a_frame.py length_of_4gb.py stops_itself.py)
  # Like those, in other words: with `scripts/test --all`.
  @hangs_alike ~w(length_of_1gb.py length_of_2gb.py drips_one_frame.py leaves_its_group.py closes_its_write_end.py
                  forks_and_hangs.py ignores_everything.c)

  # It talks, but has stopped reading, or says more than it may.
  @floods ~w(reads_nothing.py floods_unknown.c floods_one_demand.c)

  # It never gets ready: how `start_link/1` fails, and a part of the reason.
  @starts [
    {"other_protocol.py", "protocol 2"},
    {"other_process.py", "behind a wrapper"},
    {"ready_without_facts.py", "ready"},
    {"garbage_before_ready.py", "0xc1"},
    {"exits_at_once.sh", "exit status 0"},
    {"execs_cat.sh", ""},
    {"not_executable.sh", "exit status 126"},
    {"no_interpreter.sh", "exit status 12"},
    {"forks_before_ready.py", "behind a wrapper"},
    {"wraps_a_child.sh", "behind a wrapper"}
  ]

  # It is not even heard of: the start time-out is what ends it.
  @never_starts ~w(never_ready.py stopped_before_ready.py length_before_ready.py closes_before_ready.py execs_sleep.sh)

  # Dies at the message it is told, of which there are many; asks the app for runs: tests of their own.
  @others ["dies_at.py", "same_call.py"]

  def lives, do: @lives
  def ends, do: @ends
  def hangs, do: @hangs
  def hangs_alike, do: @hangs_alike
  def floods, do: @floods
  def starts, do: @starts
  def never_starts, do: @never_starts

  @doc "The names of all programs of the table."
  def all do
    Enum.map(@lives ++ @ends ++ @starts, &elem(&1, 0)) ++
      @hangs ++ @hangs_alike ++ @floods ++ @never_starts ++ @others
  end
end
