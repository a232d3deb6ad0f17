defmodule Graphport.Port.PythonTest do
  # Not async: it sets an environment variable.
  use Graphport.Case, async: false

  alias Graphport.Error
  alias Graphport.Port.Python

  @peer Path.expand("../../support/peer", __DIR__)

  setup do
    before = System.get_env("GRAPHPORT_PYTHON")
    python = python()

    on_exit(fn ->
      if before, do: System.put_env("GRAPHPORT_PYTHON", before), else: System.delete_env("GRAPHPORT_PYTHON")
    end)

    {:ok, python: python}
  end

  test "the option wins, then the variable", %{python: python} do
    System.put_env("GRAPHPORT_PYTHON", "/nowhere/at/all")
    assert {:ok, found} = Python.find(python, [@peer])
    assert File.regular?(found)
    assert {:error, %Error{code: :python_not_found, message: text}} = Python.find(nil, [@peer])
    assert text =~ "GRAPHPORT_PYTHON=/nowhere/at/all"
    System.put_env("GRAPHPORT_PYTHON", python)
    assert {:ok, ^found} = Python.find(nil, [@peer])
  end

  test "a wrapper is seen through to the real executable", %{python: python} do
    wrapper = script("#{python} \"$@\"")
    assert {:ok, found} = Python.find(wrapper, [@peer])
    assert found != wrapper
  end

  test "a Python without graphport is told apart", %{python: python} do
    # -I and -S: neither PYTHONPATH nor installed packages.
    assert {:error, %Error{code: :python_not_found, message: text}} =
             Python.find(script("exec #{python} -I -S \"$@\""), [])

    assert text =~ "has no package graphport"
  end

  defp script(line) do
    path = Path.join(System.tmp_dir!(), "graphport-python-#{System.unique_integer([:positive])}")
    File.write!(path, "#!/bin/sh\n#{line}\n")
    File.chmod!(path, 0o755)
    on_exit(fn -> File.rm(path) end)
    path
  end

  test "folders are put before those of PYTHONPATH" do
    assert Python.env([]) == []
    assert [{"PYTHONPATH", "/a:/b" <> _rest}] = Python.env(["/a", "/b"])
  end
end
