defmodule Graphport.Instance.FirstStart do
  # Tells the first start of an instance from every later one. The first waits for its engines and fails loudly: whoever
  # wrote the options must see what is wrong with them. Later ones are a supervisor's, which gives up, and takes the app
  # down, if its child fails to start a few times. A Python that is missing then must not do that: the processes start at
  # once, and the engine's owner tries until there is an engine.
  #
  # What was up is kept in `:persistent_term` for the life of the BEAM, by name: the options, so that changed ones are a
  # first start again, and the executable, since looking for Python may take long or fail.
  @moduledoc false

  @doc "The executable that an instance of these very options was up with."
  @spec recall(%{name: atom}) :: {:ok, String.t()} | :none
  def recall(%{name: name} = options) do
    case :persistent_term.get({__MODULE__, name}, nil) do
      {^options, executable} -> {:ok, executable}
      _other -> :none
    end
  end

  @doc "An instance of these options is up."
  @spec remember(%{name: atom}, String.t()) :: :ok
  def remember(%{name: name} = options, executable),
    do: :persistent_term.put({__MODULE__, name}, {options, executable})
end
