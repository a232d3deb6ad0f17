defmodule Graphport.Port.OsProcessTest do
  use Graphport.Case, async: true

  alias Graphport.Port.OsProcess

  setup do
    port = Port.open({:spawn_executable, "/bin/sh"}, [:exit_status, {:args, ["-c", "exec sleep 60"]}])
    {:os_pid, os_pid} = Port.info(port, :os_pid)
    {:ok, port: port, os_pid: os_pid}
  end

  test "kills the process that is meant", %{port: port, os_pid: os_pid} do
    start = OsProcess.start_time(os_pid)
    assert OsProcess.alive?(os_pid, start)
    OsProcess.kill(os_pid, start)
    assert_receive {^port, {:exit_status, _status}}, 5_000
    refute OsProcess.alive?(os_pid, start)
    assert OsProcess.start_time(os_pid) == nil
  end

  test "spares another process of the same id", %{os_pid: os_pid} do
    OsProcess.kill(os_pid, "12345")
    OsProcess.kill(os_pid, nil)
    assert OsProcess.start_time(os_pid) != nil
  end

  test "reads the end of a file as text" do
    path = Path.join(System.tmp_dir!(), "graphport-#{System.unique_integer([:positive])}")
    on_exit(fn -> File.rm(path) end)
    File.write!(path, [String.duplicate("x", 5_000), 255, "the end\n"])
    assert OsProcess.tail(path, 10) == "xthe end" or OsProcess.tail(path, 9) == "the end"
    assert OsProcess.tail(path <> ".none", 10) == ""
  end
end
