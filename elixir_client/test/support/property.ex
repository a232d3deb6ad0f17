defmodule Graphport.Property do
  # PropEr, called by name so that the tests compile without it. Tests that use it are tagged `:proper`, and are left
  # out, with a printed line, where it is not installed.
  @moduledoc false

  @doc "A type of PropEr's."
  def type(name, arguments \\ []), do: apply(:proper_types, name, arguments)

  @doc "Elements of one of these types."
  def one_of(types), do: type(:union, [types])

  @doc "Whether the property holds for so many values; what it does not hold for is printed."
  def holds?(type, property, count \\ 300) do
    outer = apply(:proper, :forall, [type, property])
    # `true`, or `false` with the counterexample on standard output.
    apply(:proper, :quickcheck, [outer, [:quiet, numtests: count]]) or report(outer)
  end

  defp report(_outer) do
    IO.puts("PropEr's counterexample: #{inspect(apply(:proper, :counterexample, []), limit: :infinity)}")
    false
  end
end
