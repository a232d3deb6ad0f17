defmodule Graphport.Host.Failure do
  # What a run that failed is told as: code, message, exception and stack trace. Never inputs: terms that exceptions of
  # Elixir's own carry, and arguments in a stack trace, are left out. Pure.
  @moduledoc false

  alias Graphport.{Error, Node.Context}

  @longest_message 2_000
  @longest_trace 16_384

  # Their messages show a term that the node had.
  @with_terms [
    ArithmeticError,
    BadArityError,
    BadBooleanError,
    BadFunctionError,
    BadMapError,
    BadStructError,
    CaseClauseError,
    ErlangError,
    KeyError,
    MatchError,
    Protocol.UndefinedError,
    TryClauseError,
    WithClauseError
  ]

  @doc "The run returned `{:error, reason}`."
  @spec returned(Context.t(), term) :: map
  def returned(_context, %Error{} = error), do: fault(error)

  def returned(context, reason) when is_exception(reason),
    do: failed(context, "failed with " <> said(reason), %{"exception" => inspect(reason.__struct__)})

  def returned(context, reason) when is_binary(reason), do: failed(context, "failed: " <> text(reason), %{})

  def returned(context, reason),
    do: failed(context, "failed: " <> inspect(reason, limit: 20, printable_limit: 500), %{})

  @doc "The run returned something else."
  @spec wrong_return(Context.t()) :: map
  def wrong_return(context),
    do: failed(context, "returned neither {:ok, map of outputs} nor {:error, reason}", %{})

  @doc "The run raised, threw or exited."
  @spec raised(Context.t(), :error | :throw | :exit, term, Exception.stacktrace()) :: map
  def raised(_context, :error, %Error{} = error, _stacktrace), do: fault(error)

  def raised(context, kind, reason, stacktrace) do
    {what, name} = what(kind, reason, stacktrace)
    trace = %{"traceback" => trace(stacktrace)}
    failed(context, what, if(name, do: Map.put(trace, "exception", name), else: trace))
  end

  @doc "The process of the run was ended by somebody."
  @spec ended(%{node: String.t(), type: String.t()}, term) :: map
  def ended(facts, reason), do: failed(facts, "lost its process: " <> exit_reason(reason), %{})

  @doc "An error of this library, as it travels."
  @spec fault(Error.t()) :: map
  def fault(error) do
    fields = [
      {"code", Atom.to_string(error.code)},
      {"message", text(error.message)},
      {"exception", error.exception},
      {"traceback", error.traceback},
      {"retry_after_ms", error.retry_after_ms},
      {"details", if(error.details == %{}, do: nil, else: error.details)}
    ]

    for {name, value} <- fields, value != nil, into: %{}, do: {name, value}
  end

  defp failed(%{node: node, type: type}, what, more) do
    message = "node #{inspect(node)} (#{type}) #{what}"
    Map.merge(%{"code" => "host_node_failed", "message" => text(message)}, more)
  end

  defp what(:error, reason, stacktrace) do
    exception = Exception.normalize(:error, reason, stacktrace)
    {"raised " <> said(exception), inspect(exception.__struct__)}
  end

  defp what(:throw, _value, _stacktrace), do: {"threw a value that nobody caught", nil}
  defp what(:exit, reason, _stacktrace), do: {"exited: " <> exit_reason(reason), nil}

  defp said(%name{}) when name in @with_terms, do: inspect(name)

  # Without the arguments, of which its own message would tell.
  defp said(%FunctionClauseError{module: module, function: function, arity: arity}) when is_atom(function) do
    "FunctionClauseError: no clause of " <> Exception.format_mfa(module, function, arity)
  end

  defp said(%name{} = exception) do
    said = exception |> Exception.message() |> String.split() |> Enum.join(" ")
    inspect(name) <> ": " <> said
  rescue
    # Another's code.
    _error -> inspect(name)
  end

  defp exit_reason(reason) when is_atom(reason), do: inspect(reason)

  defp exit_reason({reason, {module, function, arguments}})
       when is_atom(module) and is_atom(function) and is_list(arguments),
       do: exit_reason(reason) <> " in " <> Exception.format_mfa(module, function, length(arguments))

  defp exit_reason({reason, _more}) when is_atom(reason), do: inspect(reason)
  defp exit_reason(_reason), do: "a term"

  defp trace(stacktrace) do
    stacktrace
    |> Enum.map(fn
      {module, function, arguments, location} when is_list(arguments) ->
        {module, function, length(arguments), location}

      {fun, arguments, location} when is_list(arguments) ->
        {fun, length(arguments), location}

      entry ->
        entry
    end)
    |> Exception.format_stacktrace()
    |> text(@longest_trace)
  end

  # What other people's code says may be no text.
  defp text(text, longest \\ @longest_message) do
    text = String.slice(to_string(text), 0, longest)
    if String.valid?(text), do: text, else: inspect(text)
  end
end
