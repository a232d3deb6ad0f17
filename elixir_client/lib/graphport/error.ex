defmodule Graphport.Error do
  @moduledoc """
  The one error of Graphport: an exception that is also a plain value.

  Every function answers `{:ok, value}` or `{:error, %Graphport.Error{}}`; the functions with a bang raise it, and a
  demand that fails sends it in `{:demand_error, node, error}`.

    * `:code` - what programs compare; one of `codes/0`. A code which this version does not know is `:unknown`,
      and its text stands in `details["code"]`.
    * `:message` - what a person reads.
    * `:node_id` - the node it belongs to, or `nil`.
    * `:exception`, `:traceback` - class name and traceback of a Python exception, if there was one; for a person:
      `IO.puts(error.traceback || "")`.
    * `:retry_after_ms` - milliseconds after which a new try makes sense, or `nil`.
    * `:details` - more facts, with string keys.

      iex> error = %Graphport.Error{code: :node_failed, message: "division by zero", node_id: "mean"}
      iex> to_string(error)
      "node_failed in node \\"mean\\": division by zero"
      iex> raise error
      ** (Graphport.Error) node_failed in node "mean": division by zero
  """

  # In the order of python/graphport/core/errors.py; a test holds the two lists equal.
  @codes [
    :backend_crashed,
    :backend_failed,
    :backend_timeout,
    :backend_unavailable,
    :backend_unsupported,
    :bad_frame,
    :bad_message,
    :cancelled,
    :context_exceeded,
    :cycle,
    :dangling_edge,
    :deadline_exceeded,
    :duplicate_edge,
    :duplicate_id,
    :engine_down,
    :erlport_not_found,
    :host_node_failed,
    :incompatible_ports,
    :internal_error,
    :invalid_graph,
    :invalid_input,
    :invalid_model,
    :invalid_nodes,
    :iterations_exceeded,
    :missing_input,
    :missing_output,
    :model_not_found,
    :node_failed,
    :overloaded,
    :protocol_mismatch,
    :python_not_found,
    :shutting_down,
    :store_failed,
    :too_large,
    :undeclared_output,
    :unencodable_value,
    :unknown,
    :unknown_edge,
    :unknown_graph,
    :unknown_instance,
    :unknown_node,
    :unknown_session,
    :unknown_type,
    :waiting_for_input
  ]

  defexception [:code, :message, :node_id, :exception, :traceback, :retry_after_ms, details: %{}]

  @type t :: %__MODULE__{
          code: atom,
          message: String.t(),
          node_id: String.t() | nil,
          exception: String.t() | nil,
          traceback: String.t() | nil,
          retry_after_ms: non_neg_integer | nil,
          details: map
        }

  @doc """
  All codes, sorted.

      iex> :engine_down in Graphport.Error.codes()
      true
  """
  @spec codes() :: [atom]
  def codes, do: @codes

  @impl Exception
  @spec message(t) :: String.t()
  def message(%__MODULE__{code: code, node_id: nil, message: text}), do: "#{code}: #{text}"

  def message(%__MODULE__{code: code, node_id: node, message: text}),
    do: "#{code} in node #{inspect(node)}: #{text}"

  @doc false
  @spec new(atom, String.t(), keyword) :: t
  def new(code, text, fields \\ []) when code in @codes,
    do: struct!(%__MODULE__{code: code, message: text}, fields)

  @doc false
  # From the map that travels on the wire. Fields of a wrong type are dropped: an error must never fail.
  @spec from_wire(map) :: t
  def from_wire(map) do
    code_text = text(map, "code") || ""
    code = code(code_text)
    details = details(map)

    %__MODULE__{
      code: code,
      message: text(map, "message") || "no message",
      node_id: text(map, "node_id"),
      exception: text(map, "exception"),
      traceback: text(map, "traceback"),
      retry_after_ms: if(is_integer(map["retry_after_ms"]), do: map["retry_after_ms"]),
      details: if(code == :unknown, do: Map.put_new(details, "code", code_text), else: details)
    }
  end

  # Dates and sets are read as structs.
  defp details(%{"details" => details}) when is_map(details) and not is_struct(details), do: details
  defp details(_map), do: %{}

  defp text(map, key) do
    case map do
      %{^key => value} when is_binary(value) -> value
      _ -> nil
    end
  end

  for code <- @codes do
    defp code(unquote(Atom.to_string(code))), do: unquote(code)
  end

  defp code(_text), do: :unknown

  defimpl String.Chars do
    def to_string(error), do: Graphport.Error.message(error)
  end
end
