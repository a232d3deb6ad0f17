defmodule Graphport.Port.PipeTest do
  use ExUnit.Case, async: true

  alias Graphport.Port.Pipe

  test "what a BEAM that is gone has left is removed, what a living one uses stays" do
    number = System.unique_integer([:positive])
    # Process ids end at 2^22.
    gone = Path.join(System.tmp_dir!(), "graphport-99999999-#{number}.err")
    ours = Path.join(System.tmp_dir!(), "graphport-#{System.pid()}-x#{number}.err")
    Enum.each([gone, ours], &File.write!(&1, ""))

    assert Pipe.sweep() == :ok

    refute File.exists?(gone)
    assert File.exists?(ours)
    File.rm!(ours)
  end
end
