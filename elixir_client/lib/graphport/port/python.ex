defmodule Graphport.Port.Python do
  # Finds the Python that runs the engine, and makes sure that it is one: started once to ask where its real
  # executable is (wrappers and shims would be the port's child instead of the engine) and whether it has graphport.
  # Runs in the process that starts the instance; blocks for some tens of milliseconds.
  @moduledoc false

  alias Graphport.{Aside, Error}

  @probe "import sys, importlib.util as u; s = u.find_spec('graphport'); " <>
           "print(sys.executable); print('yes' if s and s.origin else 'no'); print(sys.version_info[:2] >= (3, 11))"
  @probe_timeout_ms 15_000

  @doc "The executable, or a `:python_not_found` that says what was looked for."
  @spec find(String.t() | nil, [String.t()]) :: {:ok, String.t()} | {:error, Error.t()}
  def find(option, python_path) do
    with {:ok, path, from} <- candidate(option), do: probe(path, from, python_path)
  end

  @doc "The environment of the engine: folders before all others on the module path."
  @spec env([String.t()]) :: [{String.t(), String.t()}]
  def env([]), do: []

  def env(folders) do
    before = System.get_env("PYTHONPATH", "")
    paths = Enum.map(folders, &Path.expand/1) ++ if(before == "", do: [], else: [before])
    [{"PYTHONPATH", Enum.join(paths, ":")}]
  end

  defp candidate(option) when is_binary(option),
    do: executable(option, "the option python: #{inspect(option)}")

  defp candidate(nil) do
    case System.get_env("GRAPHPORT_PYTHON") do
      set when set in [nil, ""] -> in_venv(File.cwd!())
      path -> executable(path, "the variable GRAPHPORT_PYTHON=#{path}")
    end
  end

  defp in_venv(folder) do
    python = Path.join([folder, ".venv", "bin", "python"])

    cond do
      File.regular?(python) -> {:ok, python, python}
      Path.dirname(folder) == folder -> executable("python3", "python3 on the PATH")
      true -> in_venv(Path.dirname(folder))
    end
  end

  defp executable(name, from) do
    found =
      if String.contains?(name, "/"),
        do: if(File.regular?(name), do: Path.expand(name)),
        else: System.find_executable(name)

    if found, do: {:ok, found, from}, else: not_found("there is no Python at #{from}")
  end

  defp probe(path, from, python_path) do
    case Aside.run(fn -> run(path, python_path) end, @probe_timeout_ms) do
      {:ok, {:ok, [executable, "yes", "True"]}} ->
        {:ok, executable}

      {:ok, {:ok, [_executable, _found, "False"]}} ->
        not_found("#{from} is older than Python 3.11")

      {:ok, {:ok, [_executable, "no", _new]}} ->
        not_found("#{from} has no package graphport; install it there")

      {:ok, {:ok, other}} ->
        not_found("#{from} is no Python: it printed #{inspect(Enum.join(other, " "))}")

      {:ok, {:error, reason}} ->
        not_found("#{from} cannot be run: #{reason}")

      {:exit, reason} ->
        not_found("#{from} cannot be run: #{Exception.format_exit(reason)}")

      nil ->
        not_found("#{from} did not answer within #{@probe_timeout_ms} ms")
    end
  end

  defp run(path, python_path) do
    {text, _status} = System.cmd(path, ["-c", @probe], env: env(python_path), stderr_to_stdout: true)
    {:ok, String.split(text, "\n", trim: true)}
  rescue
    error in ErlangError -> {:error, inspect(error.original)}
  end

  defp not_found(text) do
    text =
      "#{text}. Name one with the option python:, the variable GRAPHPORT_PYTHON or a .venv in the project."

    {:error, Error.new(:python_not_found, text)}
  end
end
