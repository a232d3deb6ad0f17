defmodule Graphport.Faults.BeamKilledTest do
  # kill -9 of the BEAM, in each state of the engine: no process is left, but programs that a node has started.
  use Graphport.Case, async: true

  alias Graphport.{FaultStates, OsProcesses}

  @moduletag :tmp_dir
  @quick [:interpreter_held, :fork]
  @patience_ms 20_000

  setup %{tmp_dir: tmp_dir}, do: {:ok, folder: marked_folder(tmp_dir)}

  for state <- FaultStates.all() do
    unless state in @quick, do: @tag(:slow)

    test "engine: #{state}", %{folder: folder} do
      {beam, programs} = start_beam(unquote(state), folder)
      on_exit(fn -> Enum.each(programs, &OsProcesses.kill/1) end)
      engine_and_children = OsProcesses.marked(folder) -- programs
      assert length(engine_and_children) == if(unquote(state) == :fork, do: 3, else: 1)

      OsProcesses.kill(beam)

      eventually(fn -> OsProcesses.marked(folder) -- programs == [] end, @patience_ms)
      assert Enum.all?(programs, &os_alive?/1)
    end
  end

  @tag :model
  test "engine: a model generates", %{folder: folder} do
    {beam, []} = start_beam(:generating, folder)
    assert [_engine, _worker] = OsProcesses.marked(folder)
    OsProcesses.kill(beam)
    eventually(fn -> OsProcesses.marked(folder) == [] end, @patience_ms)
  end

  defp start_beam(state, folder) do
    paths = [Path.expand("../../../python", __DIR__), Path.expand("../support/nodes", __DIR__)]
    ebin = :graphport |> :code.lib_dir(:ebin) |> to_string()
    arguments = ["-pa", ebin, Path.expand("beam_killed.exs", __DIR__), "#{state}", folder, python() | paths]
    options = [:binary, :exit_status, :hide, line: 1_000, args: arguments]
    port = Port.open({:spawn_executable, System.find_executable("elixir")}, options)
    assert_receive {^port, {:data, {:eol, "there " <> os_pids}}}, 60_000
    [beam | programs] = os_pids |> String.split() |> Enum.map(&String.to_integer/1)
    {beam, programs}
  end
end
