defmodule Graphport.HostNodes do
  # Nodes of an app, for the tests. `to` is the name under which a test has registered itself: values carry no pids.
  @moduledoc false

  def tell(to, message), do: send(String.to_existing_atom(to), message)

  defmodule Upcase do
    @moduledoc false
    use Graphport.Node, inputs: [text: [type: :string, required: true]], outputs: [text: [type: :string]]

    @impl true
    def run(%{"text" => text}, _context), do: {:ok, %{text: String.upcase(text)}}
  end

  defmodule Add do
    @moduledoc false
    use Graphport.Node,
      inputs: [items: [type: :number, multiple: true], x: [type: :number, default: 0]],
      outputs: [value: [type: :number]],
      effect: :pure

    @impl true
    def run(%{"items" => items, "x" => x}, _context), do: {:ok, %{"value" => Enum.sum(items) + x}}
  end

  defmodule Counted do
    @moduledoc false
    use Graphport.Node,
      title: "Counted",
      category: "test",
      description: "Tells the test each time it runs.",
      inputs: [to: :string, x: :any] |> Enum.map(fn {name, type} -> {name, [type: type]} end),
      outputs: [:value],
      effect: :pure,
      version: "2"

    @impl true
    def run(%{"to" => to, "x" => x}, context) do
      Graphport.HostNodes.tell(to, {:ran, context.node, x})
      {:ok, %{"value" => x}}
    end
  end

  defmodule Waits do
    @moduledoc false
    use Graphport.Node, inputs: [:to, :x], outputs: [:value], effect: :pure

    @impl true
    def run(%{"to" => to, "x" => x}, context) do
      Graphport.HostNodes.tell(to, {:waits, self(), x, context})

      receive do
        {:go_on, value} -> {:ok, %{"value" => value}}
      end
    end
  end

  defmodule Stubborn do
    @moduledoc false
    use Graphport.Node, inputs: [:to], outputs: [:value]

    @impl true
    def run(%{"to" => to}, _context) do
      Process.flag(:trap_exit, true)
      Graphport.HostNodes.tell(to, {:waits, self()})
      receive(do: (:never -> :ok))
    end
  end

  defmodule Hasty do
    @moduledoc false
    use Graphport.Node, inputs: [:to], outputs: [:value], timeout: 1

    @impl true
    def run(%{"to" => to}, _context) do
      Graphport.HostNodes.tell(to, {:waits, self()})
      receive(do: (:never -> :ok))
    end
  end

  defmodule Letters do
    @moduledoc false
    use Graphport.Node,
      inputs: [text: [type: :string], to: [], pause: []],
      outputs: [text: [type: :string, stream: true]],
      effect: :pure

    @impl true
    def run(%{"text" => text} = inputs, context) do
      letters = String.graphemes(text)

      for {letter, index} <- Enum.with_index(letters, 1) do
        Graphport.Node.stream(context, :text, letter)
        if inputs["to"], do: Graphport.HostNodes.tell(inputs["to"], {:sent, index})
        Graphport.Node.progress(context, index / length(letters), letter)
      end

      {:ok, %{"text" => text}}
    end
  end

  defmodule Numbers do
    @moduledoc false
    # Chunks that cannot be joined.
    use Graphport.Node, inputs: [:to, :count], outputs: [numbers: [stream: true]]

    @impl true
    def run(%{"to" => to, "count" => count}, context) do
      Graphport.HostNodes.tell(to, {:begun, self()})
      ballast = String.duplicate("x", 16_000)

      for number <- 1..count do
        Graphport.Node.stream(context, :numbers, %{"number" => number, "ballast" => ballast})
        Graphport.HostNodes.tell(to, {:sent, number})
      end

      {:ok, %{"numbers" => count}}
    end
  end

  defmodule Big do
    @moduledoc false
    use Graphport.Node, inputs: [:value], outputs: [value: [stream: true]]

    @impl true
    def run(%{"value" => value}, context) do
      Graphport.Node.stream(context, "value", value)
      {:ok, %{"value" => value}}
    end
  end

  defmodule Asks do
    @moduledoc false
    use Graphport.Node, inputs: [:session, :node, :x], outputs: [:value]

    @impl true
    def run(%{"session" => name, "node" => node, "x" => x}, context) do
      {:ok, session} = Graphport.session(context.instance, name)
      {:ok, %{"value" => value}} = Graphport.demand(session, node, inputs: %{node => %{"x" => x}})
      {:ok, %{"value" => value}}
    end
  end

  defmodule Fails do
    @moduledoc false
    use Graphport.Node, inputs: [:how, :secret], outputs: [:value]

    @impl true
    def run(%{"how" => how, "secret" => secret}, context), do: fail(how, secret, context)

    defp fail("raise", _secret, _context), do: raise("sorry")
    defp fail("argument", _secret, _context), do: raise(ArgumentError, "no such thing")
    defp fail("match", secret, _context), do: %{no: _} = secret
    defp fail("clause", secret, _context), do: only_numbers(secret)
    defp fail("key", secret, _context), do: Map.fetch!(%{secret => 1}, :missing)
    defp fail("throw", secret, _context), do: throw({:ball, secret})
    defp fail("exit", _secret, _context), do: exit(:enough)
    defp fail("call", secret, _context), do: GenServer.call(:nobody_of_that_name, {:tell, secret})
    defp fail("killed", _secret, _context), do: Process.exit(self(), :kill) && receive(do: (:never -> :ok))

    # Once somebody would hear of it.
    defp fail("quit", _secret, _context) do
      Stream.repeatedly(fn -> Process.info(self(), :monitored_by) end)
      |> Enum.find(&(&1 != {:monitored_by, []}))

      Process.exit(self(), :normal) && receive(do: (:never -> :ok))
    end

    defp fail("reason", _secret, _context), do: {:error, :not_today}
    defp fail("text", _secret, _context), do: {:error, "not today"}
    defp fail("exception", _secret, _context), do: {:error, %RuntimeError{message: "not today"}}

    defp fail("code", _secret, _context),
      do:
        {:error,
         %Graphport.Error{
           code: :backend_unavailable,
           message: "later",
           retry_after_ms: 5,
           details: %{"a" => 1}
         }}

    defp fail("raised code", _secret, _context),
      do: raise(%Graphport.Error{code: :invalid_input, message: "too old"})

    defp fail("nothing", _secret, _context), do: :ok
    defp fail("no map", _secret, _context), do: {:ok, [1]}
    defp fail("more", _secret, _context), do: {:ok, %{"value" => 1, "more" => 2}}
    defp fail("less", _secret, _context), do: {:ok, %{}}
    defp fail("pid", _secret, _context), do: {:ok, %{"value" => self()}}
    defp fail("stream", _secret, context), do: Graphport.Node.stream(context, "value", 1)
    defp fail("chunk", _secret, context), do: Graphport.Node.stream(context, "value", self())

    defp only_numbers(number) when is_number(number), do: {:ok, %{"value" => number}}
  end

  defmodule TextOutput do
    @moduledoc false
    use Graphport.Node, type: "text-output", inputs: [text: [type: :string]], outputs: [text: [type: :string]]

    @impl true
    def run(%{"text" => text}, _context), do: {:ok, %{"text" => "ours: " <> text}}
  end

  @doc "All but the one that takes a core node's place."
  def all, do: [Upcase, Add, Counted, Waits, Stubborn, Hasty, Letters, Numbers, Big, Asks, Fails]
end
